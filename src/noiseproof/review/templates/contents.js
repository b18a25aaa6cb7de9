// Pictures and texts by rank; parts that are files of their own are loaded when they are needed.
const MOST_PARTS = 40; // in memory
const parts = new Map();
const wanted = new Map(); // number -> what to do with the text of a part

window.reviewPart = (number, text) => wanted.get(number)?.(text);

async function isIntact(number, text) {
  const content = new TextEncoder().encode(`reviewPart(${number}, ${JSON.stringify(text)});\n`);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  return btoa(String.fromCharCode(...hash)) === data.hashes[number];
}

function loadPart(number) {
  return new Promise((resolve) => {
    const script = document.createElement("script");
    const fail = () => {
      tell(`Part ${number} of this page is missing or damaged; noiseproof review writes it anew.`);
      resolve([]);
    };
    wanted.set(number, async (text) => ((await isIntact(number, text)) ? resolve(JSON.parse(text)) : fail()));
    script.src = `review/part-${String(number).padStart(5, "0")}.js`;
    if (location.protocol !== "file:") script.integrity = `sha256-${data.hashes[number]}`;
    script.onload = () => script.remove();
    script.onerror = fail;
    document.head.append(script);
  });
}

function partOf(number) {
  let part = parts.get(number);
  if (part) parts.delete(number); // the last used one comes last
  else if (data.hashes.length) part = loadPart(number);
  else part = Promise.resolve(JSON.parse($(`part-${number}`).textContent));
  parts.set(number, part);
  if (parts.size > MOST_PARTS) parts.delete(parts.keys().next().value);
  return part;
}

async function contentOf(rank) {
  if (!data.numParts) return null;
  return (await partOf(Math.floor(rank / data.partRows)))[rank % data.partRows] ?? null;
}

// Shows the contents of an example in an element, unless that was given to another one meanwhile.
async function show(element, rank) {
  element.dataset.rank = rank;
  element.replaceChildren();
  if (data.kind === "features") return element.id || element.append(data.ids[rank]); // the example in focus has its id above
  const content = await contentOf(rank);
  if (element.dataset.rank !== String(rank)) return;
  if (data.kind === "text") {
    const quote = document.createElement("blockquote");
    quote.textContent = content ?? "";
    element.replaceChildren(quote);
  } else if (content) {
    const image = document.createElement("img");
    image.alt = `Example ${data.ids[rank]}`;
    image.onload = () => image.classList.toggle("tiny", image.naturalWidth <= 96);
    image.src = content;
    element.replaceChildren(image);
  } else if (data.kind === "image") {
    element.textContent = "This picture could not be read.";
  }
}
