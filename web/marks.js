// Marks on the picture under the slider: made by a click or by keys, drawn where they belong.
// Given by Gradio: element (the list of marks), props (value: the marks), trigger and watch.
const KEY_STEP = 8; // pixels on the screen
const SLIDE = 24; // the same, of the slider
const CLICK_MOVES = 4; // pixels that a click may slip, more is a drag
const layer = document.createElement("div");
layer.id = "mark_layer";
const cross = { x: 0.5, y: 0.5, shown: false };
let pressed = null;

const HANDLE = "[data-testid=slider]";
const BOX = `:has(> ${HANDLE})`;
const box = () => document.querySelector(`#slider ${BOX}`);
const isIn = (target) => Boolean(target.closest?.(`#slider ${BOX}`));
const picture = () => document.querySelector("#slider img");

// Where the picture is seen, without the empty bands beside it: on the screen, in pixels.
function seen() {
  const image = picture();
  if (!image || !image.naturalWidth) return null;
  const around = image.getBoundingClientRect();
  const share = Math.min(around.width / image.naturalWidth, around.height / image.naturalHeight);
  const width = image.naturalWidth * share;
  const height = image.naturalHeight * share;
  const left = around.left + (around.width - width) / 2;
  const top = around.top + (around.height - height) / 2;
  return { left, top, width, height, image };
}

function point(x, y) {
  const at = seen();
  if (!at || x < 0 || y < 0 || x >= 1 || y >= 1) return;
  const index = [Math.floor(x * at.image.naturalWidth), Math.floor(y * at.image.naturalHeight)];
  trigger("select", { index, value: null });
}

function draw() {
  const around = box();
  const at = seen();
  if (!around || !at) return;
  if (layer.parentNode !== around) around.append(layer);
  around.tabIndex = 0;
  around.setAttribute("role", "application");
  around.setAttribute("aria-labelledby", "hint");
  tellHandle(around, at);
  const own = around.getBoundingClientRect();
  const place = (kind, text, x, y) => {
    const mark = document.createElement("span");
    mark.className = kind;
    mark.textContent = text;
    mark.style.left = `${at.left - own.left + x * at.width}px`;
    mark.style.top = `${at.top - own.top + y * at.height}px`;
    return mark;
  };
  const all = (props.value || []).map((mark, number) =>
    place(
      "mark",
      number + 1,
      (mark.x + 0.5) / at.image.naturalWidth,
      (mark.y + 0.5) / at.image.naturalHeight,
    ),
  );
  if (cross.shown) all.push(place("cross", "", cross.x, cross.y));
  layer.replaceChildren(...all);
}

// The handle of the slider, which Gradio makes for a mouse only, to those who do not see it.
function tellHandle(around, at) {
  const handle = around.querySelector(HANDLE);
  const inner = handle?.querySelector(".inner");
  if (!inner) return;
  const place = inner.getBoundingClientRect();
  const share = (place.left + place.width / 2 - at.left) / at.width;
  handle.tabIndex = 0;
  handle.setAttribute("role", "slider");
  handle.setAttribute("aria-valuemin", 0);
  handle.setAttribute("aria-valuemax", 100);
  handle.setAttribute("aria-valuenow", Math.round(100 * Math.min(Math.max(share, 0), 1)));
}

// Move it: keys are told to it as a mouse.
function slide(pixels) {
  const handle = document.querySelector(`#slider ${HANDLE}`);
  const inner = handle?.querySelector(".inner");
  if (!inner) return;
  const around = inner.getBoundingClientRect();
  const start = { clientX: around.left, clientY: around.top + 9, bubbles: true, view: window };
  const end = { ...start, clientX: around.left + pixels };
  handle.dispatchEvent(new MouseEvent("mousedown", start));
  window.dispatchEvent(new MouseEvent("mousemove", end));
  window.dispatchEvent(new MouseEvent("mouseup", end));
}

function onKey(event) {
  const at = seen();
  if (!at || event.ctrlKey || event.altKey || event.metaKey) return;
  const moves = {
    ArrowLeft: [-1, 0],
    ArrowRight: [1, 0],
    ArrowUp: [0, -1],
    ArrowDown: [0, 1],
  };
  const move = moves[event.key];
  if (event.target.closest(HANDLE)) {
    const far = { Home: -at.width, End: at.width }[event.key];
    const pixels = far ?? (move ? SLIDE * (move[0] - move[1]) : 0);
    if (!pixels) return;
    slide(pixels);
  } else if (move) {
    const inside = (value) => Math.min(Math.max(value, 0), 0.9999);
    cross.shown = true;
    cross.x = inside(cross.x + (move[0] * KEY_STEP) / at.width);
    cross.y = inside(cross.y + (move[1] * KEY_STEP) / at.height);
  } else if (event.key === "Enter" || event.key === " ") point(cross.x, cross.y);
  else return;
  event.preventDefault();
  redraw();
}

const listen = {
  pointerdown(event) {
    const on = isIn(event.target) && !event.target.closest(HANDLE);
    pressed = on ? [event.clientX, event.clientY] : null;
  },
  pointerup(event) {
    const at = seen();
    if (!pressed || !at) return;
    const slipped = Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]);
    pressed = null;
    if (slipped <= CLICK_MOVES)
      point((event.clientX - at.left) / at.width, (event.clientY - at.top) / at.height);
  },
  // One finger scrolls the page, unless the picture is enlarged: Gradio would keep it for itself.
  touchstart(event) {
    const isPlain = /scale\(1\)/.test(picture()?.style.transform);
    const isOn = isIn(event.target) && !event.target.closest(HANDLE);
    if (isPlain && isOn && event.touches.length === 1) event.stopPropagation();
  },
  keydown(event) {
    if (isIn(event.target)) onKey(event);
  },
  focusin(event) {
    if (event.target === box()) cross.shown = event.target.matches(":focus-visible");
    draw();
  },
  focusout(event) {
    if (isIn(event.target)) cross.shown = false;
    draw();
  },
};
const redraw = () => requestAnimationFrame(draw);
for (const name of ["wheel", "pointermove", "load"]) listen[name] = redraw;

// Listeners of the document end with the list.
const heard = Object.entries(listen).map(([name, act]) => [
  name,
  (event) => (element.isConnected ? act(event) : forget()),
]);
function forget() {
  for (const [name, act] of heard) document.removeEventListener(name, act, true);
  window.removeEventListener("resize", redraw);
}
for (const [name, act] of heard) document.addEventListener(name, act, { capture: true, passive: false });
window.addEventListener("resize", redraw);
watch("value", draw);
redraw();
