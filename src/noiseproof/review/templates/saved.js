// Where decisions are kept: on disk by the server, or in this browser and, when they were saved, in a file.
const SAVED = `noiseproof saved ${data.identity}`;
const unsaved = new Set(); // ids of examples with changes that are in no file
let savedAt = ""; // time of the last file
let failure = ""; // why changes may be lost

function showSaved() {
  const num = log ? waiting.length : unsaved.size;
  const changes = `${num.toLocaleString("en")} change${num === 1 ? "" : "s"}`;
  let text = "";
  if (failure) text = `✗ ${failure}`;
  else if (log) text = num ? `Saving ${changes} …` : "✓ All saved on disk";
  else if (num) text = `✓ Kept in this browser, ${num.toLocaleString("en")} not in a file`;
  else if (decided.size) text = "✓ All in decisions.csv";
  $("saved").textContent = text;
  $("saved").className = failure ? "bad" : num && log ? "open" : "ok";
}

function changed(id) {
  unsaved.add(id);
  showSaved();
}

function setFailure(text) {
  failure = text;
  showSaved();
}

// Every decision is in a file now, saved here or in another tab.
function allInFile(when) {
  savedAt = when;
  unsaved.clear();
  showSaved();
}
