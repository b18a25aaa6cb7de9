// All examples as points; a loop drawn around some of them selects these.
const canvas = $("map");
const COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8a7fd1", "#b59a00", "#7a7a7a", "#00a3a3", "#a0522d", "#6b8e23"];
const isDark = matchMedia("(prefers-color-scheme: dark)");
let loop = []; // of the pointer, in pixels of the page
const MARGIN_PX = 8;

function placeOf(rank) {
  const [x, y] = data.places[rank];
  const width = canvas.clientWidth - 2 * MARGIN_PX;
  const height = canvas.clientHeight - 2 * MARGIN_PX;
  return [MARGIN_PX + (x / 1000) * width, MARGIN_PX + (1 - y / 1000) * height];
}

function drawMap() {
  if (!data.places) return;
  const scale = window.devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * scale;
  canvas.height = canvas.clientHeight * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const isShown = new Uint8Array(num);
  for (const rank of shown) isShown[rank] = 1;
  const radius = num > 5000 ? 1 : num > 1000 ? 1.5 : 2.5;
  for (const isTop of [0, 1]) {
    pen.globalAlpha = isTop ? 1 : isDark.matches ? 0.45 : 0.25;
    for (let rank = num - 1; rank >= 0; rank--) {
      if (isShown[rank] !== isTop) continue;
      const [x, y] = placeOf(rank);
      const size = radius + (isTop && data.isIssue[rank] ? 1.2 : 0);
      pen.fillStyle = COLOURS[data.given[rank] % COLOURS.length];
      pen.fillRect(x - size, y - size, 2 * size, 2 * size);
    }
  }
  const ink = getComputedStyle(document.body).color;
  const [x, y] = placeOf(current);
  pen.globalAlpha = 1;
  pen.strokeStyle = ink;
  pen.lineWidth = 2;
  pen.beginPath();
  pen.arc(x, y, 8, 0, 7);
  pen.stroke();
  if (loop.length > 1) {
    pen.setLineDash([4, 4]);
    pen.lineWidth = 1.5;
    pen.beginPath();
    for (const point of loop) pen.lineTo(...point);
    pen.closePath();
    pen.stroke();
  }
}

function isInside([x, y]) {
  let inside = false;
  for (let i = 0, j = loop.length - 1; i < loop.length; j = i++) {
    const [[xi, yi], [xj, yj]] = [loop[i], loop[j]];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

function nearestTo([x, y]) {
  let best = null;
  let least = 12 ** 2;
  for (const rank of shown) {
    const [a, b] = placeOf(rank);
    const apart = (a - x) ** 2 + (b - y) ** 2;
    if (apart < least) [best, least] = [rank, apart];
  }
  return best;
}

function startMap() {
  $("where").hidden = !data.places;
  if (!data.places) return;
  for (const [number, name] of data.classes.slice(0, COLOURS.length).entries()) {
    const item = document.createElement("li");
    const dot = document.createElement("i");
    dot.style.background = COLOURS[number];
    item.append(dot, name);
    $("legend").append(item);
  }
  const at = (event) => [event.offsetX, event.offsetY];
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    loop = [at(event)];
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!loop.length) return;
    loop.push(at(event));
    requestAnimationFrame(drawMap);
  });
  canvas.addEventListener("pointerup", () => {
    const spans = [0, 1].map((k) => Math.max(...loop.map((p) => p[k])) - Math.min(...loop.map((p) => p[k])));
    if (Math.max(...spans) < 6) {
      const rank = nearestTo(loop[0]);
      loop = [];
      if (rank !== null) go(rank);
    } else {
      selected = null;
      const found = [];
      for (let rank = 0; rank < num; rank++) if (fits(rank) && isInside(placeOf(rank))) found.push(rank);
      loop = [];
      selected = found.length ? new Set(found) : null;
      filter();
    }
    drawMap();
  });
  canvas.addEventListener("pointercancel", () => { loop = []; drawMap(); });
  addEventListener("resize", drawMap);
  isDark.addEventListener("change", drawMap);
}
