// Decisions by rank: kept in the browser, or, where `noiseproof review --serve` serves the page, in its log.
const data = JSON.parse(document.getElementById("data").textContent);
const num = data.ids.length;
const rankOf = new Map(data.ids.map((id, rank) => [id, rank]));
const classOf = new Map(data.classes.map((name, number) => [name, number]));
const decided = new Map();
const undoable = []; // [rank, decision before]
const log = document.documentElement.dataset.log; // address of the log, of a served page
const PREFIX = `noiseproof ${data.identity} `;
const WORDS = { keep: "kept", accept: "accepted", relabel: "relabelled", exclude: "excluded", unsure: "unsure" };
const listeners = []; // called with the rank that changed
const given = (rank) => data.classes[data.given[rank]];
const suggested = (rank) => data.classes[data.suggested[rank]];
const $ = (id) => document.getElementById(id);

function tell(text) {
  $("message").textContent = text;
  $("message").hidden = !text;
}

function remember(key, value) {
  try {
    localStorage.setItem(key, value);
    return true;
  } catch {
    return false;
  }
}

// Takes over what somebody decided, here or elsewhere; an older decision does not replace a newer one.
function takeOver(row) {
  const rank = rankOf.get(row.example_id);
  if (rank === undefined || (row.decision && !(row.decision in WORDS))) return false;
  if ((decided.get(rank)?.when ?? "") > row.when) return false;
  if (row.decision) decided.set(rank, row);
  else if ((decided.get(rank)?.who ?? row.who) === row.who) decided.delete(rank); // a person takes back no other's
  for (const each of listeners) each(rank);
  return true;
}

function decide(rank, decision, label = "") {
  undoable.push([rank, decided.get(rank)]);
  keep(rank, { example_id: data.ids[rank], decision, label, who: $("who").value.trim(), when: new Date().toISOString() });
}

function undo() {
  const last = undoable.pop();
  if (!last) return null;
  const [rank, before] = last;
  const who = decided.get(rank)?.who ?? "";
  const when = new Date().toISOString();
  keep(rank, before?.who === who ? { ...before, when } : { example_id: data.ids[rank], decision: "", label: "", who, when });
  if (before && before.who !== who) takeOver({ ...before, when });
  return rank;
}

function keep(rank, row) {
  takeOver(row);
  if (log) {
    waiting.push(row);
    send();
  } else if (!remember(PREFIX + row.example_id, JSON.stringify(row))) {
    tell("This browser keeps nothing: save decisions.csv before you close the page.");
  }
}

// The log: decisions wait here until the server has them; all tabs read what is new every second.
const waiting = [];
let numRead = 0;
let isSending = false;

async function send() {
  if (isSending) return;
  isSending = true;
  try {
    while (waiting.length) {
      const answer = await fetch(log, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(waiting[0]) });
      if (!answer.ok) throw new Error(await answer.text());
      waiting.shift();
    }
    tell("");
  } catch (error) {
    tell(`${waiting.length} decisions are not on disk yet (${error.message}); leave this page open until the server answers.`);
  }
  isSending = false;
}

async function read() {
  if (waiting.length) return send();
  const answer = await fetch(`${log}?since=${numRead}`).catch(() => null);
  if (!answer?.ok) return tell("The server does not answer; start noiseproof review --serve again.");
  const { next, rows } = await answer.json();
  numRead = next;
  rows.forEach(takeOver);
}

function start() {
  $("who").value = document.documentElement.dataset.who ?? "";
  data.decisions.forEach(takeOver);
  if (log) {
    $("kept").textContent = " and in decisions.jsonl on disk";
    read();
    setInterval(() => document.hidden || read(), 1000);
    addEventListener("beforeunload", (event) => waiting.length && event.preventDefault());
    return;
  }
  const stored = (key, text) => {
    if (!key?.startsWith(PREFIX) || !text) return;
    try {
      takeOver(JSON.parse(text));
    } catch { /* not ours */ }
  };
  try {
    for (const key of Object.keys(localStorage)) stored(key, localStorage.getItem(key));
    $("who").value = localStorage.getItem("noiseproof who") ?? "";
  } catch { /* told at the first decision */ }
  addEventListener("storage", (event) => stored(event.key, event.newValue)); // another tab
}

// decisions.csv: as noiseproof writes and escapes cells, and back.
const SIGNS = "[=+\\-@\\t\\r\\n＝＋－＠]";
const FORMULA = new RegExp(`^'*${SIGNS}.`, "s");
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const ESCAPED = new RegExp(`^'('*${SIGNS}.)`, "s");
const COLUMNS = ["example_id", "decision", "label", "who", "when"];

function toCsv() {
  const cell = (text) => `"${(FORMULA.test(text) && !NUMBER.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
  const rows = [...decided.values()].sort((a, b) => (a.when < b.when ? -1 : a.when > b.when ? 1 : 0));
  const lines = [COLUMNS, ...rows.map((row) => COLUMNS.map((name) => row[name] ?? ""))];
  return "\ufeff" + lines.map((line) => line.map(cell).join(",") + "\r\n").join("");
}

function fromCsv(text) {
  const lines = [[""]];
  let isQuoted = false;
  for (let i = 0; i < text.length; i++) {
    const line = lines.at(-1);
    const sign = text[i];
    if (isQuoted && sign === '"' && text[i + 1] === '"') line[line.length - 1] += text[++i];
    else if (sign === '"') isQuoted = !isQuoted;
    else if (isQuoted || !",\r\n".includes(sign)) line[line.length - 1] += sign;
    else if (sign === ",") line.push("");
    else if (sign === "\n") lines.push([""]);
  }
  const [head, ...rows] = lines.map((line) => line.map((one) => one.replace("\ufeff", "").replace(ESCAPED, "$1")));
  if (isQuoted || !/[\r\n]$/.test(text)) return undefined; // cut
  const full = rows.filter((row) => row.length === head.length);
  return COLUMNS.every((name) => head.includes(name))
    ? full.map((row) => Object.fromEntries(head.map((name, i) => [name, row[i]])))
    : null;
}
