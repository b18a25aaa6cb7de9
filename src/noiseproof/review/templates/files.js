// Files of decisions: written as noiseproof writes cells, and read by the rules of `noiseproof apply`.
const SIGNS = "[=+\\-@\\t\\r\\n＝＋－＠]";
const FORMULA = new RegExp(`^'*${SIGNS}.`, "s");
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const ESCAPED = new RegExp(`^'('*${SIGNS}.)`, "s");
const TIME = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?$/;
const COLUMNS = ["example_id", "decision", "label", "who", "when"];
const ABOUT = ["given_label", "content"]; // what a decision is about, beside the id
const unescaped = (text) => text.replace(ESCAPED, "$1");
const counted = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

function toCsv() {
  const cell = (text) => `"${(FORMULA.test(text) && !NUMBER.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
  const rows = [...decided.values()].sort((a, b) => (a.when < b.when ? -1 : a.when > b.when ? 1 : 0));
  const about = (row) => ({ ...row, given_label: given(rankOf.get(row.example_id)), content: data.contents?.[rankOf.get(row.example_id)] });
  const names = [...COLUMNS, ...ABOUT];
  const lines = [names, ...rows.map(about).map((row) => names.map((name) => row[name] ?? ""))];
  return "\ufeff" + lines.map((line) => line.map(cell).join(",") + "\r\n").join("");
}

function decoded(bytes) {
  const isUtf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
  try {
    return new TextDecoder(isUtf16 ? (bytes[0] === 0xff ? "utf-16le" : "utf-16be") : "utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Error("This file is not UTF-8 text. Save it as CSV in UTF-8.");
  }
}

// Spreadsheets of many countries write semicolons.
function delimiterOf(text) {
  const header = text.replace(/"[^"]*"/g, "").split("\n")[0];
  const count = (sign) => header.split(sign).length - 1;
  return count(",") ? "," : [";", "\t", "|"].sort((a, b) => count(b) - count(a))[0];
}

function fromTable(whole) {
  const hint = whole.match(/^sep=(.)\r?\n/);
  const text = hint ? whole.slice(hint[0].length) : whole;
  const delimiter = hint ? hint[1] : delimiterOf(text);
  const lines = [[""]];
  let isQuoted = false;
  for (let i = 0; i < text.length; i++) {
    const line = lines.at(-1);
    const sign = text[i];
    if (isQuoted && sign === '"' && text[i + 1] === '"') line[line.length - 1] += text[++i];
    else if (sign === '"') isQuoted = !isQuoted;
    else if (isQuoted || (sign !== delimiter && sign !== "\r" && sign !== "\n")) line[line.length - 1] += sign;
    else if (sign === delimiter) line.push("");
    else if (sign === "\n") lines.push([""]);
  }
  const [head, ...rows] = lines.filter((line) => line.length > 1 || line[0]);
  if (!head?.includes("example_id") || !head.includes("decision")) {
    throw new Error("This page reads decisions.csv, its forms, and decisions.jsonl: tables with the columns example_id and decision. Give files of other tools to noiseproof apply.");
  }
  if (new Set(head).size < head.length) throw new Error("Two columns of this file have one name. Delete or rename one.");
  if (isQuoted || !/[\r\n]$/.test(text)) throw new Error("The last line of this file has no end, so it seems to be cut. Save it again, and load that.");
  return rows.map((row, k) => {
    if (row.length !== head.length) throw new Error(`Line ${k + 2} has ${counted(row.length, "cell")}, the first line ${head.length}. Correct that line.`);
    const cells = Object.fromEntries(head.map((name, i) => [name, row[i]]));
    const made = Object.fromEntries([...COLUMNS, ...ABOUT].map((name) => [name, unescaped((cells[name] ?? "").trim())]));
    if (made.decision.toLowerCase() === "accept" && !made.label) made.label = unescaped((cells.suggested_label ?? "").trim()); // of a form
    return made;
  });
}

// The log of `noiseproof review --serve`: the last answer of each person, unless it took back one before.
async function fromLog(text) {
  const last = new Map();
  const lines = text.split("\n").slice(0, -1); // what follows the last line break was cut off by a kill
  let numOthers = 0;
  for (const [k, line] of lines.entries()) {
    const { checksum, ...record } = parsed(line, k);
    if (checksum !== undefined && checksum !== (await checksumOf(record))) throw new Error(`Line ${k + 1} has changed since it was written. Delete that line.`);
    if ((record.identity ?? data.identity) !== data.identity) {
      numOthers++;
      continue;
    }
    const row = Object.fromEntries(COLUMNS.map((name) => [name, String(record[name] ?? "")]));
    const person = JSON.stringify([row.example_id, row.who]);
    last.delete(person);
    last.set(person, row);
  }
  if (numOthers && !last.size) throw new Error(`All ${counted(numOthers, "decision")} of this log are about other examples or labels.`);
  return [...last.values()].filter((row) => row.decision);
}

function parsed(line, k) {
  try {
    const record = JSON.parse(line);
    if (typeof record?.example_id === "string") return record;
  } catch { /* below */ }
  throw new Error(`Line ${k + 1} is no decision. Delete that line.`);
}

async function checksumOf(record) {
  const ascii = (value) => JSON.stringify(value).replace(/[\u007f-\uffff]/g, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const text = `{${Object.keys(record).sort().map((name) => `${ascii(name)}: ${ascii(record[name])}`).join(", ")}}`;
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return [...hash.slice(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Rank of an example by its id, by a path that ends in it, or by its id without the suffix.
const rankOfStem = new Map();
function findRank(name) {
  const ways = name.replaceAll("\\", "/").split("/").map((_, k, parts) => parts.slice(k).join("/"));
  const end = [name, ...ways].find((way) => rankOf.has(way));
  if (end !== undefined) return rankOf.get(end);
  if (!rankOfStem.size) {
    for (const [rank, id] of data.ids.entries()) {
      const stem = id.replace(/(.)\.[^.]*$/, "$1");
      rankOfStem.set(stem, rankOfStem.has(stem) ? undefined : rank);
    }
  }
  return rankOfStem.get(name);
}

// A row as a decision about an example of this page; undefined without an answer.
function toDecision(row, k) {
  let decision = row.decision.toLowerCase();
  if (!decision && !row.label) return undefined;
  const rank = findRank(row.example_id);
  if (rank === undefined) return { unknown: row.example_id };
  const known = [row.label, row.label.replace(/\.0$/, "")].find((name) => classOf.has(name));
  let label = known ?? row.label;
  decision ||= label === given(rank) ? "keep" : label === suggested(rank) ? "accept" : "relabel";
  const refuse = (reason) => { throw new Error(`Decision ${k + 1} (${row.example_id}) ${reason}`); };
  if (!(decision in WORDS)) refuse(`is “${decision}”; allowed: ${Object.keys(WORDS).join(", ")}.`);
  if (decision === "relabel" && !label) refuse("is a relabel without a label. Fill in the label.");
  const about = row.given_label || (decision === "keep" ? label : "");
  if (row.content && data.contents?.length && row.content !== data.contents[rank]) refuse("is about another example: rows of the data were added, deleted or changed. Was it made on another page?");
  if (about && ![about, label].includes(given(rank))) refuse(`is about the label “${about}”, but the given label is “${given(rank)}” here. Is it about other data?`);
  if (row.when && !(TIME.test(row.when) && timeOf(row) > 0)) refuse(`has the time “${row.when}”; allowed: such as 2026-11-30T17:00:00Z, or nothing.`);
  label = { keep: given(rank), accept: label || suggested(rank), relabel: label }[decision] ?? "";
  return { example_id: data.ids[rank], decision, label, who: row.who, when: row.when };
}

const timeOf = (row) => {
  const hasZone = /(Z|[+-]\d\d:\d\d)$/.test(row.when) || !row.when.includes(":");
  return row.when ? Date.parse(row.when.replace(" ", "T") + (hasZone ? "" : "Z")) : 0;
};
const outcomeOf = (row) => `${row.decision === "exclude" ? "exclude" : "label"} ${row.label}`;

// The decision that counts of several about one example, as `decisions/settle.py` has it; null for a tie.
function settled(all) {
  const rows = [...new Map(all.map((row) => [JSON.stringify(COLUMNS.map((name) => row[name])), row])).values()];
  const last = new Map();
  for (const [k, row] of rows.entries()) {
    const person = row.who || (row.when ? "" : k);
    const before = last.get(person);
    if (!before || !(before.when && row.when) || timeOf(row) >= timeOf(before)) last.set(person, row);
  }
  const people = [...last.values()];
  if (new Set(rows.map(outcomeOf)).size === 1) return people.at(-1);
  if (people.length === 1) return people[0];
  if (people.every((row) => row.when)) return people.reduce((a, b) => (timeOf(b) >= timeOf(a) ? b : a));
  const counts = new Map();
  for (const row of people) counts.set(outcomeOf(row), (counts.get(outcomeOf(row)) ?? 0) + 1);
  const [first, second] = [...counts].sort((a, b) => b[1] - a[1]);
  return second?.[1] === first[1] ? null : people.find((row) => outcomeOf(row) === first[0]);
}

// Takes over the decisions of a file, all or none.
async function loadFile(file) {
  const text = decoded(new Uint8Array(await file.arrayBuffer()));
  const rows = file.name.toLowerCase().endsWith(".jsonl") ? await fromLog(text) : fromTable(text);
  const found = rows.map(toDecision).filter((row) => row);
  const unknown = found.filter((row) => row.unknown !== undefined);
  if (unknown.length && data.total === num) throw new Error(`${counted(unknown.length, "decision")} of ${found.length} are about examples that are not here, such as ${unknown[0].unknown}. Is it about other data?`);
  const byExample = new Map();
  for (const row of found) {
    if (row.unknown === undefined) byExample.set(row.example_id, [...(byExample.get(row.example_id) ?? []), row]);
  }
  const changes = [];
  for (const [id, some] of byExample) {
    const before = decided.get(rankOf.get(id));
    const isReplaced = before && !before.who && !before.when && some.some((row) => !row.who && !row.when);
    const winner = settled(before && !isReplaced ? [before, ...some] : some);
    if (!winner) throw new Error(`People disagree on ${id} (${some.map((row) => `${row.who || "somebody"}: ${row.label || row.decision}`).join("; ")}), and no times say which decision is later. Delete the ones that should not count.`);
    const isNew = ["decision", "label", "who"].some((name) => winner[name] !== (before?.[name] ?? null));
    if (isNew) changes.push([rankOf.get(id), winner, before]);
  }
  if (!found.length) throw new Error("This file has no decision. Fill in its column decision: accept, keep, relabel, exclude or unsure.");
  for (const [rank, row, before] of changes) {
    const isLater = row.when && timeOf(row) >= timeOf(before ?? { when: "" });
    keep(rank, { ...row, when: new Date(isLater ? timeOf(row) : Date.now()).toISOString() });
  }
  const strange = [...new Set([...byExample.values()].flat().map((row) => row.label).filter((name) => name && !classOf.has(name)))];
  const names = strange.map((name) => `“${name}”`).join(", ");
  const left = unknown.length ? `; ${counted(unknown.length, "decision")} about examples that this page does not have ${unknown.length === 1 ? "was" : "were"} left out` : "";
  return `Decisions about ${counted(byExample.size, "example")} loaded${left}${names ? `; no class of the data is called ${names}: noiseproof apply needs --allow-new-class for that` : ""}.`;
}

function save() {
  if (!decided.size) return tell("Nothing is decided yet, so there is nothing to save.");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([toCsv()], { type: "text/csv" }));
  link.download = "decisions.csv";
  link.click();
  const now = new Date().toISOString();
  remember(SAVED, now);
  allInFile(now);
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

async function load() {
  const [file] = $("file").files;
  tell("");
  try {
    tell(await loadFile(file));
  } catch (error) {
    tell(error.message);
  }
  $("file").value = "";
}
