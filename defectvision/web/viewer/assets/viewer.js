// The picture viewer: zoom, pan, opacity and wipe happen here alone; nothing is sent to Python.

const CLOSE = 4; // screen px per image px from which single px are shown as such
const instances = new WeakMap();
// What the eye has settled on stays from one image to the next, and when the page is left.
const kept = { opacity: 70, wipe: 0, masks: 60, layers: "masks" };
const STILL = 4; // screen px that a click may move

class Viewer {
  constructor(root) {
    this.find = (name) => root.querySelector(name);
    this.stage = this.find(".stage");
    this.layer = this.find(".layer");
    this.pointers = new Map();
    this.fitted = true;
    this.view = { scale: 1, x: 0, y: 0 };
    this.observer = new ResizeObserver(() => (this.fitted ? this.fit() : this.draw()));
    this.observer.observe(this.stage);
    this.masks = new Masks(this, this.find);
    this.ruler = new Ruler(this, this.find);
    this.zones = new Zones(this, this.find);
    this.listen();
  }

  // --- data from Python ----------------------------------------------------------------

  show(data, setScale, addZone) {
    const another = this.data?.id !== data.id;
    this.data = data;
    this.source(this.find(".picture"), data.picture);
    this.find(".picture").alt = data.alt;
    this.stage.setAttribute("aria-label", data.alt);
    this.find(".mark").textContent = data.mark;
    this.find(".mark").hidden = !data.mark;
    this.layer.style.width = `${data.width}px`;
    this.layer.style.height = `${data.height}px`;
    if (data.heat) this.showHeat(data.heat);
    const aspect = data.width / data.height;
    this.find(".viewer").classList.toggle("wide", data.wide);
    this.find(".viewer").classList.toggle("segmented", data.masks !== null);
    this.stage.style.setProperty("--aspect", aspect);
    this.showMasks();
    this.ruler.show(data.mm_per_px, setScale, another);
    this.zones.show(data.zones, addZone, another);
    this.find(".zone-keys").hidden = !addZone;
    this.find(".opacity").value = kept.opacity;
    this.find(".mask-opacity").value = kept.masks;
    this.find(".wipe").value = kept.wipe;
    if (another) this.fit();
    else this.draw();
  }

  showHeat(heat) {
    this.source(this.find(".heat"), heat.picture);
    this.find(".method").textContent = heat.method;
    this.find(".unit").textContent = heat.unit;
    this.find(".sums").textContent = heat.sums;
    const stops = heat.colours.map(([r, g, b, a]) => `rgb(${r} ${g} ${b} / ${a})`);
    this.find(".bar").style.backgroundImage = `linear-gradient(to right, ${stops.join(",")})`;
    this.fill(".ticks", heat.ticks, ([place, text]) => {
      const tick = document.createElement("span");
      tick.style.left = `${place * 100}%`;
      tick.textContent = text;
      return tick;
    });
    this.fill(".meaning", heat.meaning, (text, index) => {
      const item = document.createElement("li");
      const swatch = document.createElement("i");
      const [r, g, b] = heat.colours[index === 0 ? heat.colours.length - 5 : 4];
      swatch.style.background = `rgb(${r} ${g} ${b})`;
      item.append(swatch, text);
      return item;
    });
  }

  // The masks come apart from the picture; those of another image are not drawn over this one.
  showMasks() {
    if (!this.data) return;
    this.masks.show(this.data.masks);
    this.showLayers();
  }

  showLayers() {
    const segments = this.data.masks !== null;
    this.masked = segments && kept.layers !== "heat";
    this.heated = this.data.heat !== null && (!segments || kept.layers !== "masks");
    this.find(".layers").hidden = !segments;
    for (const name of [".chips", ".mask-slide"]) this.find(name).hidden = !this.masked;
    this.find(".masks").toggleAttribute("hidden", !this.masked);
    for (const name of [".heat", ".heat-slide", ".legend"]) this.find(name).hidden = !this.heated;
    for (const radio of this.find(".layers").querySelectorAll("input")) {
      radio.checked = radio.value === kept.layers;
    }
    this.draw();
  }

  // Of the tools that mark points in the picture one is active, or none.
  get tool() {
    return [this.ruler, this.zones].find((tool) => tool.active);
  }

  only(chosen) {
    for (const tool of [this.ruler, this.zones]) {
      if (tool !== chosen && tool.active) tool.switch();
    }
  }

  showTool() {
    const active = Boolean(this.tool);
    this.find(".cross").hidden = !active;
    this.stage.classList.toggle("measuring", active);
  }

  source(image, url) {
    if (image.getAttribute("src") !== url) image.setAttribute("src", url);
  }

  fill(name, entries, make) {
    this.find(name).replaceChildren(...entries.map(make));
  }

  // --- view ----------------------------------------------------------------------------

  room() {
    return { width: this.stage.clientWidth, height: this.stage.clientHeight };
  }

  fitScale() {
    const { width, height } = this.room();
    return Math.min(width / this.data.width, height / this.data.height) || 1;
  }

  fit() {
    if (!this.data) return;
    const { width, height } = this.room();
    const scale = this.fitScale();
    this.view = {
      scale,
      x: (width - this.data.width * scale) / 2,
      y: (height - this.data.height * scale) / 2,
    };
    this.fitted = true;
    this.draw();
  }

  zoom(factor, at) {
    const { width, height } = this.room();
    const { x, y } = at ?? { x: width / 2, y: height / 2 };
    const least = Math.min(this.fitScale(), 1) / 2;
    const most = Math.max(this.fitScale() * 4, 24);
    const scale = Math.min(Math.max(this.view.scale * factor, least), most);
    const ratio = scale / this.view.scale;
    this.view = { scale, x: x - (x - this.view.x) * ratio, y: y - (y - this.view.y) * ratio };
    this.moved();
  }

  pan(dx, dy) {
    this.view = { ...this.view, x: this.view.x + dx, y: this.view.y + dy };
    this.moved();
  }

  // Brings a box of the picture (left, top, width, height in px) into the middle.
  look([left, top, across, down]) {
    const { width, height } = this.room();
    const near = Math.min(CLOSE, width / (3 * across), height / (1.6 * down));
    const scale = Math.max(this.fitScale(), near);
    this.view = {
      scale,
      x: width / 2 - (left + across / 2) * scale,
      y: height / 2 - (top + down / 2) * scale,
    };
    this.layer.classList.add("glide");
    this.moved();
  }

  // A part of the picture always stays in sight, so that nobody loses it.
  moved() {
    const { width, height } = this.room();
    const edge = 48;
    const { scale } = this.view;
    const within = (value, size, room) =>
      Math.min(Math.max(value, Math.min(edge, room) - size), room - Math.min(edge, room));
    this.view.x = within(this.view.x, this.data.width * scale, width);
    this.view.y = within(this.view.y, this.data.height * scale, height);
    this.fitted = false;
    this.draw();
  }

  draw() {
    if (this.waiting || !this.data) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = null;
      const { scale, x, y } = this.view;
      this.layer.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
      this.find(".picture").classList.toggle("close", scale >= CLOSE);
      this.find(".zoom").textContent = `${Math.round(scale * 100)} %`;
      const edge = (kept.wipe / 100) * this.room().width;
      const heat = this.find(".heat");
      heat.style.opacity = kept.opacity / 100;
      const plain = `inset(0 0 0 ${kept.wipe ? Math.max(0, (edge - x) / scale) : 0}px)`;
      heat.style.clipPath = plain;
      const masks = this.find(".masks");
      masks.style.clipPath = kept.wipe ? plain : "";
      masks.style.setProperty("--scale", scale);
      this.find(".zones").style.setProperty("--scale", scale);
      masks.style.setProperty("--fill", (kept.masks / 100) * 0.6);
      masks.style.setProperty("--edge", Math.min(1, (kept.masks / 100) * 1.6));
      this.find(".mask-value").textContent = `${kept.masks} %`;
      this.find(".divider").hidden = kept.wipe === 0;
      this.find(".divider").style.left = `${edge}px`;
      this.find(".opacity-value").textContent = `${kept.opacity} %`;
      this.find(".wipe-value").textContent = `${kept.wipe} %`;
      Object.assign(this.stage.dataset, { scale: scale.toFixed(4), fitted: this.fitted });
    });
  }

  // --- what is under the pointer -------------------------------------------------------

  // A place on the stage as px of the picture.
  inPicture(at) {
    const { scale, x, y } = this.view;
    return { x: (at.x - x) / scale, y: (at.y - y) / scale };
  }

  // Gives the active tool a place on the stage, moved to the picture's border where it lies beside.
  mark(at) {
    const { x, y } = this.inPicture(at);
    const within = (value, most) => Math.min(Math.max(value, 0), most);
    this.tool.mark({ x: within(x, this.data.width), y: within(y, this.data.height) });
  }

  read(at) {
    const { x: px, y: py } = this.inPicture(at);
    const { width, height, heat } = this.data;
    if (px < 0 || py < 0 || px >= width || py >= height) return "";
    const place = `x ${Math.floor(px)}, y ${Math.floor(py)} px`;
    if (!this.heated) return place;
    // Pixel centres lie on whole numbers in the map, corners here.
    const [a, b, c, d, e, f] = heat.to_grid;
    const column = a * (px - 0.5) + b * (py - 0.5) + c;
    const row = d * (px - 0.5) + e * (py - 0.5) + f;
    const rows = heat.values.length;
    const columns = heat.values[0].length;
    if (row < -0.5 || column < -0.5 || row > rows - 0.5 || column > columns - 0.5) {
      return `${place}: outside the model's view`;
    }
    const cell = (v, last) => Math.min(Math.max(v, 0), last);
    const r = cell(row, rows - 1), k = cell(column, columns - 1);
    const r0 = Math.floor(r), k0 = Math.floor(k);
    const r1 = Math.min(r0 + 1, rows - 1), k1 = Math.min(k0 + 1, columns - 1);
    const mix = (u, v, t) => u + (v - u) * t;
    const value = mix(
      mix(heat.values[r0][k0], heat.values[r0][k1], k - k0),
      mix(heat.values[r1][k0], heat.values[r1][k1], k - k0),
      r - r0,
    );
    const sign = heat.signed && value > 0 ? "+" : "";
    const text = heat.signed ? `${Number(value.toPrecision(2))} %` : value.toPrecision(3);
    return `${place}: ${sign}${text}`.replace("-", "−");
  }

  // --- hands ---------------------------------------------------------------------------

  at(event) {
    const box = this.stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  listen() {
    const { stage } = this;
    stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.layer.classList.remove("glide");
      const step = event.deltaMode === 1 ? event.deltaY * 16 : event.deltaY;
      this.zoom(Math.exp(-Math.max(-240, Math.min(240, step)) * 0.0018), this.at(event));
    }, { passive: false });
    stage.addEventListener("dblclick", () => this.fit());
    stage.addEventListener("pointerdown", (event) => this.down(event));
    stage.addEventListener("pointermove", (event) => this.move(event));
    stage.addEventListener("pointerup", (event) => this.up(event));
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      stage.addEventListener(end, (event) => {
        this.pointers.delete(event.pointerId);
        this.wiping = false;
        stage.classList.toggle("held", this.pointers.size > 0);
      });
    }
    stage.addEventListener("pointerleave", () => (this.find(".readout").textContent = ""));
    stage.addEventListener("keydown", (event) => this.key(event));
    this.find(".opacity").addEventListener("input", (event) => {
      kept.opacity = Number(event.target.value);
      this.draw();
    });
    this.find(".mask-opacity").addEventListener("input", (event) => {
      kept.masks = Number(event.target.value);
      this.draw();
    });
    this.find(".layers").addEventListener("change", (event) => {
      kept.layers = event.target.value;
      this.showLayers();
    });
    this.find(".wipe").addEventListener("input", (event) => {
      kept.wipe = Number(event.target.value);
      this.draw();
    });
    this.find(".buttons").addEventListener("click", (event) => {
      const what = event.target.dataset.do;
      this.layer.classList.add("glide");
      if (what === "in") this.zoom(1.4);
      if (what === "out") this.zoom(1 / 1.4);
      if (what === "fit") this.fit();
      if (what === "full") this.zoom(1 / this.view.scale);
    });
  }

  down(event) {
    this.pressed = { ...this.at(event), region: this.masks.at(event) };
    this.stage.setPointerCapture(event.pointerId);
    this.layer.classList.remove("glide");
    this.wiping = event.target.closest(".divider") !== null;
    this.pointers.set(event.pointerId, this.at(event));
    this.stage.classList.add("held");
  }

  // A press that does not move chooses the region under it, or none.
  up(event) {
    const now = this.at(event);
    const still = Math.hypot(now.x - this.pressed?.x, now.y - this.pressed?.y) <= STILL;
    if (still && this.tool) {
      this.mark(now);
    } else if (still && this.masked && !this.wiping) {
      choose(this.pressed.region, "picture");
    }
    this.pressed = null;
  }

  move(event) {
    const now = this.at(event);
    const region = link.regions[this.masks.at(event)];
    const over = region ? ` · ${region.title}` : "";
    if (this.data) this.find(".readout").textContent = this.read(now) + over;
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    if (this.wiping) {
      const share = Math.round((now.x / this.room().width) * 100);
      kept.wipe = Math.min(Math.max(share, 0), 100);
      this.find(".wipe").value = kept.wipe;
      this.draw();
    } else if (this.pointers.size === 2) {
      const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, p]) => p);
      const apart = (p) => Math.hypot(p.x - other.x, p.y - other.y) || 1;
      this.zoom(apart(now) / apart(before), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
      this.pan((now.x - before.x) / 2, (now.y - before.y) / 2);
    } else {
      this.pan(now.x - before.x, now.y - before.y);
    }
    this.pointers.set(event.pointerId, now);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = 60;
    const actions = {
      "+": () => this.zoom(1.25), "=": () => this.zoom(1.25),
      "-": () => this.zoom(0.8), "_": () => this.zoom(0.8),
      "0": () => this.fit(),
      ArrowLeft: () => this.pan(step, 0), ArrowRight: () => this.pan(-step, 0),
      m: () => this.ruler.switch(), M: () => this.ruler.switch(),
      ArrowUp: () => this.pan(0, step), ArrowDown: () => this.pan(0, -step),
    };
    if (this.zones.add) actions.z = actions.Z = () => this.zones.switch();
    if (this.tool) {
      const { width, height } = this.room();
      actions.Enter = () => this.mark({ x: width / 2, y: height / 2 });
      actions.Escape = () => this.tool.switch();
    }
    if (this.zones.active) actions.Backspace = () => this.zones.back();
    if (!(event.key in actions)) return;
    event.preventDefault();
    event.stopPropagation();
    this.layer.classList.add("glide");
    actions[event.key]();
  }
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  let viewer = instances.get(parentElement);
  if (!viewer) {
    viewer = new Viewer(parentElement);
    instances.set(parentElement, viewer);
  }
  const send = (what) => (data.markable ? (value) => setTriggerValue(what, value) : null);
  viewer.show(data, send("scale"), send("zone"));
  return () => {
    viewer.observer.disconnect();
    viewer.masks.end();
    instances.delete(parentElement);
  };
}
