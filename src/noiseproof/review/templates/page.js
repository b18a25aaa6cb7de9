// The example in focus, its keys, and what changes when a decision is made.
function go(rank) {
  current = rank;
  tell("");
  $("another").value = "";
  suggestClasses();
  renderFocus();
  scrollToCurrent();
  renderRows();
  drawMap();
}

function step(by) {
  const place = shown.indexOf(current);
  const next = shown[Math.min(shown.length - 1, Math.max(0, place + by))];
  if (next !== undefined) go(next);
}

function advance() {
  const place = shown.indexOf(current);
  const isOpen = (rank) => !decided.has(rank);
  const next = shown.slice(place + 1).find(isOpen) ?? shown.find(isOpen);
  if (next !== undefined) go(next);
}

function make(decision, label = "") {
  if (!shown.length && !num) return;
  decide(current, decision, label);
  advance();
}

const actions = {
  q: () => make("keep", given(current)),
  w: () => {
    if (suggested(current) !== given(current)) make("accept", suggested(current));
    else tell("No other class is suggested: Q keeps this label, a digit or / chooses another class.");
  },
  e: () => make("exclude"),
  n: () => make("unsure"),
  u: () => {
    const rank = undo();
    if (rank === null) tell("Nothing to undo in this tab.");
    else go(rank);
  },
  "/": () => $("another").focus(),
  ArrowRight: () => step(1),
  ArrowDown: () => step(1),
  ArrowLeft: () => step(-1),
  ArrowUp: () => step(-1),
};

function choose(name) {
  make(name === given(current) ? "keep" : name === suggested(current) ? "accept" : "relabel", name);
}

// The classes behind the digits: all of up to ten, else those of the suggestion and the neighbours first.
function chipClasses() {
  if (data.classes.length <= 10) return data.classes;
  const around = (data.near?.[current] ?? []).filter((rank) => rank >= 0).map(given);
  return [...new Set([suggested(current), ...around, ...data.classes.slice(0, 10)])].slice(0, 10);
}

function renderFocus() {
  const decision = decided.get(current);
  const place = shown.indexOf(current);
  $("position").textContent = place < 0 ? "outside of this list" : `${(place + 1).toLocaleString("en")} of ${shown.length.toLocaleString("en")}`;
  $("id").textContent = data.ids[current];
  if ($("content").dataset.rank !== String(current)) show($("content"), current);
  $("labels").replaceChildren(labelsOf(current));
  $("suspicion").setAttribute("width", 100 * data.suspicion[current]);
  $("number").textContent = data.suspicion[current].toFixed(2);
  $("decision").textContent = decision ? `${WORDS[decision.decision]}${decision.who ? ` by ${decision.who}` : ""}` : "";
  $("accepted").textContent = suggested(current);
  $("actions").querySelector("[data-key=w]").disabled = suggested(current) === given(current);
  $("chips").replaceChildren(...chipClasses().map((name, k) => {
    const button = document.createElement("button");
    const key = document.createElement("kbd");
    button.type = "button";
    key.textContent = digitOf(name, k);
    button.append(key, ` ${name}`);
    button.ariaPressed = decision?.label === name;
    button.addEventListener("click", () => choose(name));
    return button;
  }));
  const near = (data.near?.[current] ?? []).filter((rank) => rank >= 0);
  renderRow("near", near);
  renderRow("copies", data.copies[current] ?? []);
  const counts = new Map();
  for (const rank of near) counts.set(given(rank), (counts.get(given(rank)) ?? 0) + 1);
  $("vote").textContent = [...counts].sort((a, b) => b[1] - a[1]).map(([name, count]) => `${name} (${count})`).join(", ");
}

// The key of a class: its own name where all are digits, else its place.
const areDigits = data.classes.every((name) => /^[0-9]$/.test(name));
function digitOf(name, k) {
  return areDigits ? name : String((k + 1) % 10);
}

function renderRow(id, ranks) {
  $(id).hidden = !ranks.length;
  $(id).querySelector(".row").replaceChildren(...ranks.slice(0, 8).map((rank) => {
    const button = document.createElement("button");
    const content = document.createElement("span");
    const name = document.createElement("b");
    button.type = "button";
    button.title = data.ids[rank];
    content.className = "small";
    show(content, rank);
    name.textContent = given(rank);
    name.className = given(rank) === given(current) ? "same" : given(rank) === suggested(current) ? "other" : "";
    button.append(content, name);
    button.addEventListener("click", () => go(rank));
    return button;
  }));
}

function renderProgress() {
  let numSuspects = 0;
  let numDone = 0;
  for (let rank = 0; rank < num; rank++) {
    if (!data.isIssue[rank]) continue;
    numSuspects++;
    if (decided.has(rank)) numDone++;
  }
  $("bar").max = numSuspects || num;
  $("bar").value = numSuspects ? numDone : decided.size;
  const more = decided.size - numDone;
  $("progress").textContent = numSuspects
    ? `${numDone} of ${counted(numSuspects, "suspect")} decided${more ? `, ${counted(more, "other")}` : ""}`
    : `${decided.size} decided`;
}

// Classes that begin with, or else contain, what is typed.
function matching(text) {
  const low = text.toLowerCase();
  const begin = data.classes.filter((name) => name.toLowerCase().startsWith(low));
  return [...begin, ...data.classes.filter((name) => name.toLowerCase().includes(low) && !begin.includes(name))];
}

let newClass = null; // a name that no class has; Enter again takes it

function suggestClasses() {
  const text = $("another").value.trim();
  newClass = null;
  $("matches").replaceChildren(...(text ? matching(text).slice(0, 6) : []).map((name) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => choose(name));
    item.append(button);
    return item;
  }));
}

function takeTyped() {
  const text = $("another").value.trim();
  const found = classOf.has(text) ? [text] : matching(text);
  const name = found[0];
  if (!text) return;
  if (found.length > 1) return tell(`“${text}” is in the names of ${found.length} classes: choose one below, or type more.`);
  if (name === undefined && newClass !== text) {
    newClass = text;
    tell(`No class is called “${text}”. Press Enter again to use it as a new class.`);
    return;
  }
  $("another").blur();
  choose(name ?? text);
}

function press(event) {
  const isTyping = event.target.matches("input, select");
  if (event.target === $("another")) {
    if (event.key === "Enter") takeTyped();
    if (event.key === "Escape") event.target.blur();
  }
  if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey) && !isTyping) actions.u();
  else if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  else if (/^[0-9]$/.test(event.key)) {
    const name = chipClasses().find((each, k) => digitOf(each, k) === event.key);
    if (name !== undefined) choose(name);
  } else if (actions[event.key] ?? actions[event.key.toLowerCase()]) {
    (actions[event.key] ?? actions[event.key.toLowerCase()])();
  } else return;
  event.preventDefault();
}

listeners.push((rank) => {
  if (!isStarted) return;
  renderProgress();
  renderFinished();
  renderRows();
  if (rank === current) renderFocus();
});
let isStarted = false;
start();
fillFilters();
startMap();
isStarted = true;
for (const id of ["scope", "state", "of", "pair"]) $(id).addEventListener("change", filter);
for (const button of $("actions").children) button.addEventListener("click", () => actions[button.dataset.key]());
$("previous").addEventListener("click", () => step(-1));
$("next").addEventListener("click", () => step(1));
$("free").addEventListener("click", () => { selected = null; filter(); });
$("list").addEventListener("scroll", () => requestAnimationFrame(renderRows));
$("rows").addEventListener("click", (event) => {
  const row = event.target.closest("[data-of]");
  if (row) go(Number(row.dataset.of));
});
$("another").addEventListener("input", suggestClasses);
$("who").addEventListener("change", () => remember("noiseproof who", $("who").value.trim()));
$("save").addEventListener("click", save);
$("load").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", load);
document.addEventListener("keydown", press);
filter();
const firstOpen = shown.find((rank) => !decided.has(rank));
if (firstOpen !== undefined) go(firstOpen);
else if (shown.length) go(shown[0]);
renderProgress();
if (data.total > num) tell(`This page has the ${num.toLocaleString("en")} most suspicious of ${data.total.toLocaleString("en")} examples${data.drawn.length ? " and the drawn sample" : ""}.`);
