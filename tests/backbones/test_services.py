"""Embedding services against a server on this machine; nothing here waits."""

import subprocess
import threading

import numpy as np
import pytest
from loopback_service import CHANGES, cheap_embeddings, loopback_service

from noiseproof.backbones.backbones import check_name, open_backbone
from noiseproof.backbones.services import client as client_module
from noiseproof.backbones.services.address import parse_address
from noiseproof.backbones.services.client import EmbeddingClient
from noiseproof.backbones.services.pace import Pace
from noiseproof.backbones.services.service_backbone import MOST_TOKENS, split_into_requests
from noiseproof.backbones.services.settings import ServiceSettings
from noiseproof.core.errors import InvalidArgument, ServiceError, UnknownName

pytest.importorskip("httpx2")
TEXTS = ["a good film", "a bad plot", "the sea"]
KEY = "sk-Secret-123"


class FakeTime:
    """A clock that only waiting moves."""

    def __init__(self):
        self.now_s, self.waits, self.lock = 0.0, [], threading.Lock()

    def clock(self):
        return self.now_s

    def sleep(self, seconds):
        with self.lock:
            self.now_s += seconds
            self.waits.append(seconds)
        return False


@pytest.fixture
def service(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with loopback_service() as running:
        yield running


def a_client(service, time=None, **settings):
    time = time or FakeTime()
    settings = ServiceSettings(**settings)
    pace = Pace(settings.requests_per_minute, clock=time.clock, sleep=time.sleep)
    return EmbeddingClient(parse_address(service.name.removeprefix("api:")), settings, pace=pace)


def embedded(service, texts=TEXTS, *, time=None, **settings):
    client = a_client(service, time, **settings)
    with client.connected():
        return client.embed(texts)


# Names and addresses


@pytest.mark.parametrize(
    ("rest", "model", "url"),
    [
        ("m", "m", "https://api.openai.com/v1"),
        ("@cf/baai/bge", "@cf/baai/bge", "https://api.openai.com/v1"),
        ("org/m:tag@http://127.0.0.1:8000/v1/", "org/m:tag", "http://127.0.0.1:8000/v1"),
        ("m@001@https://host/v1", "m@001", "https://host/v1"),
        ("m@http://[::1]:80/v1", "m", "http://[::1]:80/v1"),
    ],
)
def test_a_name_is_a_model_and_a_url(service, rest, model, url):
    check_name(f"api:{rest}")
    address = parse_address(rest)
    assert (address.model, address.url) == (model, url)


def test_the_url_comes_from_the_environment_where_the_name_has_none(service, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1/v1")
    assert parse_address("m").url == "http://localhost:1/v1"
    assert parse_address("m@https://host/v1").url == "https://host/v1"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://user:s3cret@host/v1", "take the login out"),
        ("https://user:s3cret/s3cret@host/v1", "take the login out"),
        ("https://s3cret@host/v1", "take the login out"),
        ("https://host/v1?key=s3cret", "leave out what follows"),
        ("https://host/v1#s3cret", "leave out what follows"),
        ("https://", "check its host"),
        ("https:///v1", "check its host"),
        ("https://host:s3cret/v1", "check its host"),
        ("https://host:0/v1", "check its host"),
        ("https://host:99999/v1", "check its host"),
        ("https://[host/v1", "check its host"),
        ("https://host /v1", "a blank"),
        ("https://host\n/v1", "a blank"),
        ("https://host\\evil/v1", "a backslash"),
        ("httpx://host/v1", "check its host"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_secrets(service, monkeypatch, url, problem):
    with pytest.raises(
        InvalidArgument, match=rf"`backbone` is 'api:m@.*allowed: a URL such as.*{problem}"
    ) as one:
        check_name(f"api:m@{url}")
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    with pytest.raises(InvalidArgument, match=rf"`OPENAI_BASE_URL` is .*{problem}") as other:
        check_name("api:m")
    if "@" in url or "?" in url or "#" in url:
        assert "s3cret" not in f"{one.value} {other.value}"


def test_names_without_a_model_and_layers_are_refused(service):
    for rest in ("", " ", "@http://127.0.0.1/v1"):
        with pytest.raises(
            InvalidArgument, match=r"`backbone` is 'api: ?'; allowed: api:MODEL or api:MODEL@URL"
        ):
            check_name(f"api:{rest}")
    with pytest.raises(UnknownName, match="Unknown layer 'mean'"):
        open_backbone("api:m", layer="mean")


def test_another_service_is_another_encoder(service):
    names = ("api:m", "api:n", "api:m@http://127.0.0.1:1/v1", "api:m@http://127.0.0.1:2/v1")
    assert len({open_backbone(name).weights_hash for name in names}) == 4
    assert not service.asked


# Answers


@pytest.mark.parametrize("fault", [None, "wrong order", "no base64", "slow"])
def test_embeddings_are_in_the_order_of_the_texts(service, fault):
    service.faults = [fault] if fault else []
    np.testing.assert_array_equal(embedded(service), cheap_embeddings(TEXTS))


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("one missing", "2 embeddings for 3 texts"),
        ("index twice", "numbers its embeddings 0, 0, 0, not 0 to 2"),
        ("no index", "numbers its embeddings None"),
        ("another dimension", "3 numbers for a text, and 8 before"),
        ("two dimensions", "embeddings of 1, 8 numbers"),
        ("empty vectors", "embeddings of 0 numbers; allowed: one length from 1"),
        ("NaN", "NaN or infinity"),
        ("huge numbers", "NaN or infinity"),
        ("words", "neither a list of numbers nor base64"),
        ("bad base64", "neither a list of numbers nor base64"),
        ("odd base64", "neither a list of numbers nor base64"),
        ("no list", "no list `data` of embeddings"),
    ],
)
def test_an_answer_that_breaks_the_protocol_ends_the_work_at_once(service, fault, problem):
    client = a_client(service)
    with client.connected():
        client.embed(TEXTS)
        service.faults = [fault]
        with pytest.raises(ServiceError, match=problem):
            client.embed(TEXTS)
        assert len(service.asked) == 2
        with pytest.raises(ServiceError, match=problem):  # what other threads see
            client.embed(TEXTS)
    assert len(service.asked) == 2


def test_every_change_of_an_answer_is_tested():
    assert len(CHANGES) == 13


# Failures


@pytest.mark.parametrize("fault", ["500", "502", "503", "429", "408", "half", "half JSON", "page"])
def test_failures_that_may_pass_are_asked_again_ever_later(service, fault):
    time = FakeTime()
    service.faults = [fault] * 4
    np.testing.assert_array_equal(embedded(service, time=time), cheap_embeddings(TEXTS))
    assert len(service.asked) == 5
    for wait_s, longest_s in zip(time.waits, [0.25, 0.5, 1, 2], strict=True):
        assert longest_s / 2 <= wait_s <= longest_s


def test_after_the_last_try_the_failure_is_told(service):
    service.faults = ["503"] * 99
    with pytest.raises(
        ServiceError, match=r"failed 10 times, at last: 503, .*fault 503.*Next: check that the service"
    ):
        embedded(service)
    assert len(service.asked) == 10


def test_a_service_that_does_not_run_is_named(service):
    name = open_backbone("api:m@http://127.0.0.1:9/v1")
    time = FakeTime()
    client = EmbeddingClient(name.address, ServiceSettings(), pace=Pace(clock=time.clock, sleep=time.sleep))
    with (
        client.connected(),
        pytest.raises(ServiceError, match=r"http://127.0.0.1:9/v1.*failed 10 times, at last: Conn"),
    ):
        client.embed(TEXTS)


def test_a_service_that_does_not_answer_is_given_up_soon(service, monkeypatch):
    monkeypatch.setattr(client_module, "_ANSWER_S", 0.02)
    service.faults = ["hang"] * 9
    with pytest.raises(ServiceError, match=r"failed 3 times, at last: ReadTimeout.*--requests-at-once 1"):
        embedded(service)


def test_retry_after_is_kept_to(service):
    time = FakeTime()
    service.faults = ["429 Retry-After: 7", "503 Retry-After: 2.5"]
    embedded(service, time=time)
    assert 7 <= time.waits[0] <= 7.7
    assert 2.5 <= time.waits[1] <= 2.75
    service.faults = ["429 Retry-After: Wed, 01 Jan 2020 00:00:00 GMT", "429 Retry-After: soon"]
    embedded(service)
    service.faults = ["429 Retry-After: 86400"]
    with pytest.raises(ServiceError, match=r"requested a pause of 86400 s, more than the limit of 600 s"):
        embedded(service)


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_refused_request_is_told_with_its_size(service, status):
    service.faults = [str(status)]
    with pytest.raises(
        ServiceError, match=rf"answered {status}: .*--batch-size \(here 3 texts, the longest of 11 char"
    ):
        embedded(service)
    assert len(service.asked) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_refused(service, status):
    with loopback_service() as other:
        service.faults = [f"{status} Location: {other.url}/embeddings"]
        with pytest.raises(
            ServiceError, match=rf"redirects to '{other.url}/embeddings'; allowed: answers of its own"
        ):
            embedded(service)
        assert not other.asked


def test_a_certificate_that_nobody_trusts_is_refused(service, tmp_path, monkeypatch):
    import ssl

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -keyout key.pem -out cert.pem"
    )
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    try:
        subprocess.run([*command.split(), *names], cwd=tmp_path, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl to make a certificate with")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with loopback_service(ssl_context=context) as secured:
        with pytest.raises(
            ServiceError, match=r"certificate that is not trusted: self.signed.*SSL_CERT_FILE"
        ):
            embedded(secured)
        assert not secured.asked
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        client_module._trusted_certificates.cache_clear()
        embedded(secured)
    client_module._trusted_certificates.cache_clear()


# Keys


def test_the_key_is_sent_to_the_service(service, monkeypatch):
    service.key = KEY
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    embedded(service)
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    monkeypatch.setenv("MY_KEY", f" {KEY}\n")
    embedded(service, api_key_variable="MY_KEY")
    assert {headers["authorization"] for headers, _ in map(_lower, service.asked)} == {f"Bearer {KEY}"}


def _lower(request):
    headers, body = request
    return {name.lower(): value for name, value in headers.items()}, body


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_names_its_variable_and_never_the_key(service, monkeypatch, status):
    service.faults = [str(status)]
    with pytest.raises(
        ServiceError, match=rf"{status}.*environment variable OPENAI_API_KEY is empty or not set"
    ):
        embedded(service)
    monkeypatch.setenv("MY_KEY", KEY)
    service.faults = [str(status)]
    with pytest.raises(
        ServiceError, match=r"fault .* Bearer \*\*\*.*environment variable MY_KEY was sent"
    ) as caught:
        embedded(service, api_key_variable="MY_KEY")
    assert KEY not in str(caught.value)


def test_services_elsewhere_need_a_key(service, monkeypatch):
    client = EmbeddingClient(parse_address("m"), ServiceSettings())
    with pytest.raises(
        InvalidArgument, match=r"`api_key_variable` is 'OPENAI_API_KEY'.*export OPENAI_API_KEY="
    ):
        client.connected().__enter__()
    monkeypatch.setenv("OPENAI_API_KEY", "two words")
    with pytest.raises(InvalidArgument, match="characters that no key has") as caught:
        client.connected().__enter__()
    assert "two words" not in str(caught.value)
    with pytest.raises(InvalidArgument, match=r"NAMED.*empty or not set"):
        embedded(service, api_key_variable="NAMED")


def test_no_key_goes_over_http_to_another_machine(service, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    client = EmbeddingClient(parse_address("m@http://gpu-box:8000/v1"), ServiceSettings())
    with client.connected():
        assert "authorization" not in client._http.headers
        assert client._advice_on_key() == (
            "use https; the key in OPENAI_API_KEY is not sent over http to another machine"
        )


def test_a_key_in_place_of_the_name_of_its_variable_is_not_shown():
    for key in ("sk-abc", "abcdef0123", "Z" * 65, "", "A B"):
        with pytest.raises(ValueError, match="no name of an environment variable") as caught:
            ServiceSettings(api_key_variable=key)
        assert not key or key not in str(caught.value.errors()[0]["msg"])


# Pace and batches


def test_requests_keep_to_the_limit_per_minute(service):
    time = FakeTime()
    client = a_client(service, time, requests_per_minute=30)
    with client.connected():
        for _ in range(4):
            client.embed(TEXTS)
    assert time.now_s == pytest.approx(3 * 2.0)


def test_stopping_ends_every_wait():
    pace = Pace()
    pace.hold_all(1000.0)
    waiting = threading.Thread(target=lambda: (pace.wait_for_turn(), pace.back_off(9)))
    waiting.start()
    pace.stop()
    waiting.join(timeout=5)
    assert not waiting.is_alive()


def test_requests_are_split_by_number_and_by_tokens():
    assert split_into_requests([], most_texts=2) == []
    assert split_into_requests(["a"] * 5, most_texts=2) == [range(2), range(2, 4), range(4, 5)]
    half, long = "a" * (2 * MOST_TOKENS), "a" * (9 * MOST_TOKENS)
    assert split_into_requests([half, half, half, long, "a"], most_texts=9) == [
        range(2), range(2, 3), range(3, 4), range(4, 5),
    ]  # fmt: skip


def test_a_text_that_cannot_be_sent_is_refused(service):
    backbone = open_backbone(service.name)
    for text, problem in (("", "empty"), (" \n", "empty"), ("\ud800", "surrogates")):
        with pytest.raises(ValueError, match=problem):
            backbone.prepare(text)


def test_texts_arrive_as_they_are(service):
    texts = ["naïve \U0001f600 \x00 </script>", '"quoted"\n\tline', "العربية"]
    np.testing.assert_array_equal(embedded(service, texts), cheap_embeddings(texts))
    assert service.asked[0][1] == {"model": "toy", "input": texts, "encoding_format": "base64"}
