// The filtered list; only the rows in sight are elements.
const ROW_PX = 64;
let shown = []; // ranks
let current = 0; // rank
let selected = null; // set of ranks, from the map

function option(select, value, text) {
  const element = document.createElement("option");
  element.value = value;
  element.textContent = text;
  select.append(element);
}

function fillFilters() {
  const numSuspects = data.isIssue.reduce((sum, one) => sum + one, 0);
  const addSample = () => option($("scope"), "drawn", `Drawn sample (${data.drawn.length.toLocaleString("en")})`);
  const isSampleOpen = data.drawn.some((rank) => !decided.has(rank));
  if (isSampleOpen) addSample(); // the first option is the list that opens
  if (numSuspects) option($("scope"), "suspects", `Suspects (${numSuspects.toLocaleString("en")})`);
  option($("scope"), "all", `All examples (${num.toLocaleString("en")})`);
  if (data.drawn.length && !isSampleOpen) addSample();
  option($("state"), "", "Any decision");
  option($("state"), "open", "Not decided");
  for (const [word, done] of Object.entries(WORDS)) option($("state"), word, done[0].toUpperCase() + done.slice(1));
  option($("of"), "", "All labels");
  const counts = new Map();
  const pairs = new Map();
  for (let rank = 0; rank < num; rank++) {
    counts.set(data.given[rank], (counts.get(data.given[rank]) ?? 0) + 1);
    if (!data.isIssue[rank]) continue;
    const pair = `${data.given[rank]} ${data.suggested[rank]}`;
    pairs.set(pair, (pairs.get(pair) ?? 0) + 1);
  }
  for (const [number, name] of data.classes.entries()) option($("of"), number, `${name} (${counts.get(number) ?? 0})`);
  option($("pair"), "", "All pairs");
  for (const [pair, count] of [...pairs].sort((a, b) => b[1] - a[1]).slice(0, 200)) {
    option($("pair"), pair, `${pair.split(" ").map((one) => data.classes[one]).join(" → ")} (${count})`);
  }
}

function fits(rank) {
  if ($("scope").value === "suspects" && !data.isIssue[rank]) return false;
  if ($("of").value !== "" && data.given[rank] !== Number($("of").value)) return false;
  if ($("pair").value && `${data.given[rank]} ${data.suggested[rank]}` !== $("pair").value) return false;
  const state = $("state").value;
  if (state && (decided.get(rank)?.decision ?? "open") !== state) return false;
  return !selected || selected.has(rank);
}

function filter() {
  // A sample is checked in the order of its draws, since those up to the first open one count.
  shown = ($("scope").value === "drawn" ? data.drawn : [...data.ids.keys()]).filter(fits);
  $("rows").style.height = `${shown.length * ROW_PX}px`;
  $("count").textContent = `${shown.length.toLocaleString("en")} ${shown.length === 1 ? "example" : "examples"}${selected ? " selected on the map" : ""}`;
  $("free").hidden = !selected;
  $("list").scrollTop = 0;
  $("rows").replaceChildren();
  $("none").hidden = shown.length > 0;
  if (shown.length && !shown.includes(current)) go(shown[0]);
  else renderFocus();
  renderRows();
  renderFinished();
  drawMap();
}

// Whether anything is left to decide in this list, after every decision and every change of the list.
function renderFinished() {
  const isFinished = shown.length > 0 && shown.every((rank) => decided.has(rank));
  const what = shown.length === 1 ? "The one example of this list is" : `All ${shown.length.toLocaleString("en")} of this list are`;
  $("finished").textContent = isFinished ? `${what} decided. ${log ? "Close the page" : "Save decisions.csv"}, or choose another list.` : "";
  $("finished").hidden = !isFinished;
}

function labelsOf(rank) {
  const span = document.createElement("span");
  const decision = decided.get(rank);
  const isDoubtful = decision ? ["accept", "relabel", "exclude"].includes(decision.decision) : data.suggested[rank] !== data.given[rank];
  const before = document.createElement(isDoubtful ? "del" : "b");
  before.textContent = given(rank);
  span.append(before);
  const after = decision ? { relabel: decision.label, accept: decision.label }[decision.decision] : suggested(rank);
  if (isDoubtful && after) {
    const element = document.createElement("ins");
    element.textContent = after;
    span.append(" ", element);
  }
  return span;
}

function newRow(rank, place) {
  const row = document.createElement("div");
  row.className = "item";
  row.role = "option";
  row.dataset.of = rank;
  row.style.top = `${place * ROW_PX}px`;
  const content = document.createElement("span");
  content.className = "small";
  show(content, rank);
  row.append(content, document.createElement("span"), document.createElement("em"));
  fillRow(row, rank);
  return row;
}

function fillRow(row, rank) {
  row.children[1].replaceWith(labelsOf(rank));
  const decision = decided.get(rank)?.decision;
  row.children[2].textContent = decision ? WORDS[decision] : data.suspicion[rank].toFixed(2);
  row.className = `item ${decision ?? ""}`;
  row.ariaSelected = rank === current;
}

function renderRows() {
  const top = $("list").scrollTop;
  const first = Math.max(0, Math.floor(top / ROW_PX) - 4);
  const last = Math.min(shown.length, Math.ceil((top + $("list").clientHeight) / ROW_PX) + 4);
  const before = new Map([...$("rows").children].map((row) => [Number(row.dataset.of), row]));
  const rows = [];
  for (let place = first; place < last; place++) {
    const row = before.get(shown[place]) ?? newRow(shown[place], place);
    fillRow(row, shown[place]);
    rows.push(row);
  }
  $("rows").replaceChildren(...rows);
}

function scrollToCurrent() {
  const place = shown.indexOf(current);
  const list = $("list");
  if (place < 0) return;
  const top = place * ROW_PX;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + ROW_PX > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW_PX - list.clientHeight;
}
