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
  } else {
    const isKept = remember(PREFIX + row.example_id, JSON.stringify(row));
    setFailure(isKept ? "" : "Not kept by this browser: save decisions.csv before you close the page");
    changed(row.example_id);
  }
}

// The log: decisions wait here until the server has them; all tabs read what is new every second.
const waiting = [];
let numRead = 0;
let isSending = false;

async function send() {
  if (isSending) return;
  isSending = true;
  showSaved();
  try {
    while (waiting.length) {
      const answer = await fetch(log, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(waiting[0]) });
      if (!answer.ok) throw new Error(await answer.text());
      waiting.shift();
    }
    answers();
  } catch (error) {
    fails(`${counted(waiting.length, "decision")} not on disk`, `Not on disk yet: ${counted(waiting.length, "decision")} (${error.message}); leave this page open until the server answers.`);
  }
  isSending = false;
}

// What the server did last; only a message about its failure is taken away when it answers.
function fails(short, long) {
  setFailure(short);
  tell(long);
}

function answers() {
  if (failure) tell("");
  setFailure("");
}

async function read() {
  if (waiting.length) return send();
  const answer = await fetch(`${log}?since=${numRead}`).catch(() => null);
  if (!answer?.ok) return fails("The server does not answer", "The server does not answer; start noiseproof review --serve again.");
  answers();
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
    showSaved();
    return;
  }
  const stored = (key, text) => {
    if (key === SAVED && text) allInFile(text);
    if (!key?.startsWith(PREFIX) || !text) return;
    try {
      const row = JSON.parse(text);
      const isKnown = decided.get(rankOf.get(row.example_id))?.when === row.when; // to the folder of the page
      if (takeOver(row) && !isKnown && row.when > savedAt) changed(row.example_id);
    } catch { /* not ours */ }
  };
  addEventListener("beforeunload", (event) => failure && unsaved.size && event.preventDefault());
  try {
    stored(SAVED, localStorage.getItem(SAVED));
    for (const key of Object.keys(localStorage)) stored(key, localStorage.getItem(key));
    $("who").value = localStorage.getItem("noiseproof who") ?? "";
  } catch { /* told at the first decision */ }
  showSaved();
  addEventListener("storage", (event) => stored(event.key, event.newValue)); // another tab
}
