// The canvas: hands, keys and what they come to. Nothing here waits for Python.

const CLOSE = 4; // screen px per image px from which single px are shown as such
const LARGEST_BRUSH = 400; // px
const LEAVES = 10_000; // ms until an image that does not go can be worked on again
const RESTS = 120; // ms after a move
const instances = new WeakMap();
// What the hand has settled on stays from one image to the next.
const settings = { tool: "brush", size: 0, tolerance: 24, opacity: 50 };
const TOOLS = { b: "brush", e: "eraser", g: "polygon", r: "box", f: "fill" };
const KEPT = {
  kept: "Everything is kept.",
  sending: "Being kept…",
  waiting: "Not kept yet: the server does not answer. Leave this tab open.",
  refused: "The server refused this. Reload the page; what was drawn last has to be drawn again.",
};

class Labelling {
  constructor(root) {
    this.find = (name) => root.querySelector(name);
    this.stage = this.find(".stage");
    this.bitmaps = new Bitmaps(1, 1);
    this.classes = new Classes(this, this.find);
    this.view = new View(this.stage, () => this.moved());
    this.painter = new Painter(this.find(".drawn"));
    this.post = new Post({
      collect: (names) => this.collect(names),
      say: (how) => this.keeping(how),
      busy: () => this.hands.held === "tool",
      stays: () => this.leaving(false),
    });
    this.tools = {
      brush: new Brush(this, 1), eraser: new Brush(this, 0), polygon: new Polygon(this),
      box: new Box(this), fill: new Fill(this),
    };
    this.hands = new Hands(this);
    this.observer = new ResizeObserver(() => (this.view.fitted ? this.view.fit() : this.repaint()));
    this.observer.observe(this.stage);
    this.listen();
  }

  get tool() {
    return this.data?.drawable ? this.tools[settings.tool] : null;
  }

  // --- data from Python ----------------------------------------------------------------

  show(data, send) {
    const former = this.data;
    const another = former?.id !== data.id || former.version !== data.version;
    if (former?.opening === data.opening) {
      this.post.send = send;
      return;
    }
    if (another && former) {
      this.cancel();
      this.post.flush();
    }
    this.post.send = send;
    this.data = data;
    this.leaving(false);
    if (another) this.take(data);
    this.post.open(data.opening, another);
    this.post.confirm();
  }

  take(data) {
    const picture = this.find(".picture");
    picture.setAttribute("src", data.picture);
    picture.alt = data.alt;
    this.stage.setAttribute("aria-label", data.alt);
    this.find(".layer").style.width = `${data.width}px`;
    this.find(".layer").style.height = `${data.height}px`;
    this.find(".viewer").classList.toggle("wide", data.wide);
    this.stage.style.setProperty("--aspect", data.width / data.height);
    const parts = this.find(".rail").querySelectorAll(".drawing");
    for (const part of parts) part.hidden = !data.drawable;
    this.bitmaps = new Bitmaps(data.height, data.width);
    for (const [name, counts] of Object.entries(data.masks)) this.bitmaps.load(name, counts);
    this.find(".suggest").hidden = !data.drawable || !Object.keys(data.suggested).length;
    this.strokes = 0;
    settings.size ||= Math.max(3, Math.round(Math.min(data.width, data.height) / 30));
    this.tools.fill.reset();
    this.classes.show(data);
    Object.assign(this.view, { width: data.width, height: data.height });
    this.view.fit();
    this.showTool();
    // The keys are the picture's, but of somebody who writes.
    if (!document.activeElement?.matches(EDITABLE)) this.stage.focus({ preventScroll: true });
  }

  collect(names) {
    const masks = Object.fromEntries(names.map((name) => [name, this.bitmaps.runs(name)]));
    return { names: this.classes.names, masks, strokes: this.strokes };
  }

  keeping(how) {
    this.find(".keeping").textContent = KEPT[how];
    this.find(".keeping").dataset.state = how;
  }

  say(words) {
    this.find(".said").textContent = `${words}.`;
  }

  // --- changes ---------------------------------------------------------------------------

  // Whether there is a class to draw.
  ready() {
    if (this.classes.active !== null) return true;
    const good = this.classes.names.length > 0;
    const first = "Choose a class first: by its digit or a click";
    this.say(good ? "A good part has nothing to draw" : first);
    this.find(".classes-list").classList.add("wanted");
    setTimeout(() => this.find(".classes-list").classList.remove("wanted"), 900);
    return false;
  }

  begin(value) {
    if (!this.ready()) return false;
    this.bitmaps.begin(this.classes.state);
    if (value) this.classes.drawn();
    return true;
  }

  // spans(box, put) gives the px of the class drawn.
  change(value, wanted, spans) {
    const box = this.bitmaps.clip(wanted);
    if (box.left >= box.right || box.top >= box.bottom) return;
    const name = this.classes.active;
    this.bitmaps.touch(name, box);
    const bits = this.bitmaps.take(name), { height } = this.bitmaps;
    const put = (x, top, bottom) => bits.fill(value, x * height + top, x * height + bottom);
    spans(box, put);
    this.repaint(box);
  }

  commit(words) {
    const name = this.classes.active;
    const before = this.bitmaps.area(name);
    this.strokes += 1;
    this.end();
    const size = whole(Math.abs(this.bitmaps.area(name) - before));
    this.say(`${words}: ${this.classes.about(name).title}, ${size} px`);
  }

  end() {
    const labels = ({ names }) => names.join("\n");
    const relabelled = labels(this.bitmaps.entry.state) !== labels(this.classes.state);
    const changed = this.bitmaps.commit(relabelled);
    if (changed.length || relabelled) this.post.change(changed);
    this.classes.draw();
    this.showSteps();
  }

  step(change) {
    this.cancel();
    this.bitmaps.begin(this.classes.state);
    change();
    this.end();
  }

  cancel() {
    this.hands.drop();
    for (const tool of Object.values(this.tools)) tool.cancel?.();
    if (this.bitmaps.entry) this.classes.restore(this.bitmaps.entry.state);
    this.bitmaps.cancel();
    this.repaint();
  }

  undo() {
    this.travel("back", "Undone", "There is nothing to undo");
  }

  redo() {
    this.travel("forth", "Done again", "There is nothing to do again");
  }

  travel(way, done, nothing) {
    this.cancel();
    const went = this.bitmaps[way](this.classes.state);
    if (!went) return this.say(nothing);
    this.classes.restore(went.state);
    this.post.change(went.changed);
    this.say(done);
    this.showSteps();
    this.repaint();
  }

  // The model's masks in place of what is drawn of their classes.
  suggest() {
    const { suggested, several } = this.data;
    const size = (name) => suggested[name].reduce((sum, n, place) => sum + (place % 2) * n, 0);
    let names = Object.keys(suggested);
    if (!several) {
      const largest = names.reduce((a, b) => (size(b) > size(a) ? b : a));
      names = [names.includes(this.classes.active) ? this.classes.active : largest];
    }
    this.step(() => {
      for (const name of names) {
        this.bitmaps.move(name, null);
        if (!this.classes.names.includes(name)) this.classes.add(this.classes.about(name));
        const { width, height } = this.data;
        this.bitmaps.touch(name, { left: 0, top: 0, right: width, bottom: height });
        this.bitmaps.lay(name, suggested[name]);
      }
    });
    this.repaint();
    this.say(`Taken over: ${names.map((name) => this.classes.about(name).title).join(", ")}`);
  }

  go(step) {
    this.cancel();
    this.leaving(true);
    this.post.flush(step);
    this.say({ next: "Next image", previous: "Previous image", save: "Kept; next image" }[step]);
  }

  // From a step on, hands and keys wait for the image that comes: they are not meant for this one.
  leaving(left) {
    this.left = left;
    this.stage.classList.toggle("leaving", left);
    clearTimeout(this.returning);
    if (left) this.returning = setTimeout(() => this.leaving(false), LEAVES);
  }

  // --- what is seen ------------------------------------------------------------------------

  use(name) {
    this.cancel();
    settings.tool = name;
    this.showTool();
    if (name === "fill") setTimeout(() => this.tools.fill.prepare());
    this.say(this.find(`button[data-tool=${name}]`).dataset.words);
  }

  resize(factor) {
    const step = factor > 1 ? Math.ceil : Math.floor;
    settings.size = Math.min(LARGEST_BRUSH, Math.max(1, step(settings.size * factor)));
    this.showTool();
    this.say(`Brush of ${settings.size} px`);
  }

  showTool() {
    for (const button of this.stage.getRootNode().querySelectorAll("button[data-tool]")) {
      button.setAttribute("aria-pressed", String(button.dataset.tool === settings.tool));
    }
    const brush = ["brush", "eraser"].includes(settings.tool);
    this.find(".size-slide").hidden = !brush;
    this.find(".tolerance-slide").hidden = settings.tool !== "fill";
    this.find(".size").value = (100 * Math.log(settings.size)) / Math.log(LARGEST_BRUSH);
    this.find(".size-value").textContent = `${settings.size} px`;
    this.find(".tolerance").value = settings.tolerance;
    this.find(".tolerance-value").textContent = `${settings.tolerance}`;
    this.find(".opacity").value = settings.opacity;
    this.find(".opacity-value").textContent = `${settings.opacity} %`;
    this.stage.dataset.tool = this.data.drawable ? settings.tool : "";
    this.showSteps();
    this.sketch();
  }

  showSteps() {
    this.find("[data-do=undo]").disabled = !this.bitmaps.past.length;
    this.find("[data-do=redo]").disabled = !this.bitmaps.future.length;
  }

  // A picture that moves is drawn coarsely, and finely once it rests.
  moved() {
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      this.resting = null;
      this.repaint();
    }, RESTS);
    this.repaint();
  }

  // Draws the picture, and the masks within a box or all of them, before the next frame.
  repaint(box = null) {
    if (!this.data) return;
    if (this.waiting && (!box || !this.dirty)) this.dirty = null;
    else if (this.waiting) this.dirty = union(this.dirty, box);
    else this.dirty = box;
    this.waiting ??= requestAnimationFrame(() => this.paint());
  }

  paint() {
    this.waiting = null;
    const { scale, x, y } = this.view;
    if (!this.dirty) {
      this.find(".layer").style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
      this.find(".picture").classList.toggle("close", scale >= CLOSE);
      this.find(".zoom").textContent = `${Math.round(scale * 100)} %`;
      this.stage.dataset.scale = scale.toFixed(4);
      Object.assign(this.stage.dataset, { left: x.toFixed(2), top: y.toFixed(2) });
      this.sketch();
    }
    const { active, all } = this.classes;
    const order = [...all.filter(({ name }) => name !== active), this.classes.about(active)];
    const seen = order.filter((about) => about && this.bitmaps.of.has(about.name));
    const masks = seen.map((about) => ({
      bits: this.bitmaps.of.get(about.name),
      reach: this.bitmaps.reach.get(about.name) ?? [0, 0],
      colour: about.colour,
    }));
    this.painter.paint(this.view, this.bitmaps, masks, {
      opacity: settings.opacity / 100,
      where: this.dirty,
      coarse: !this.dirty && Boolean(this.resting),
    });
  }

  // What the tool shows of itself.
  sketch() {
    const drawn = this.tool?.sketch?.() ?? {};
    const text = (points) => points.map((p) => `${p.x.toFixed(1)},${p.y.toFixed(1)}`).join(" ");
    const corners = (drawn.corners ?? []).map((corner) => this.view.onStage(corner));
    for (const line of this.stage.querySelectorAll(".sketch polygon")) {
      line.setAttribute("points", text(corners));
    }
    const [first] = (drawn.dots ?? []).map((corner) => this.view.onStage(corner));
    const at = this.hands.over;
    for (const [name, centre, radius] of [
      ["ring", at, drawn.ring ? drawn.ring * this.view.scale : 0], ["first", first, 5],
    ]) {
      for (const circle of this.stage.querySelectorAll(`.sketch .${name}`)) {
        circle.setAttribute("r", centre ? radius : 0);
        circle.setAttribute("cx", centre?.x ?? 0);
        circle.setAttribute("cy", centre?.y ?? 0);
      }
    }
  }

  // --- widgets -----------------------------------------------------------------------------

  listen() {
    const root = this.find(".viewer");
    const actions = {
      undo: () => this.undo(), redo: () => this.redo(), suggest: () => this.suggest(),
      in: () => this.view.zoom(1.4), out: () => this.view.zoom(1 / 1.4), fit: () => this.view.fit(),
      full: () => this.view.zoom(1 / this.view.scale),
      previous: () => this.go("previous"), next: () => this.go("next"), save: () => this.go("save"),
    };
    root.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button || this.left) return;
      if (button.dataset.tool) this.use(button.dataset.tool);
      if (button.dataset.do) actions[button.dataset.do]();
      // A click gives the keys back to the picture; who goes by Tab stays where they are.
      if (event.detail > 0) this.stage.focus({ preventScroll: true });
    });
    const slide = (name, hear) => {
      this.find(name).addEventListener("input", (event) => {
        hear(Number(event.target.value));
        this.showTool();
        this.repaint();
      });
    };
    slide(".size", (value) => (settings.size = Math.round(LARGEST_BRUSH ** (value / 100))));
    slide(".opacity", (value) => (settings.opacity = value));
    slide(".tolerance", (value) => {
      settings.tolerance = value;
      this.tools.fill.again();
    });
    // Whoever turns to something else on the page has finished for now.
    this.stage.addEventListener("pointerleave", () => this.hands.held || this.post.flush());
    this.hide = () => document.hidden && this.post.flush();
    document.addEventListener("visibilitychange", this.hide);
  }

  leave() {
    this.observer.disconnect();
    clearTimeout(this.resting);
    clearTimeout(this.returning);
    this.hands.end();
    document.removeEventListener("visibilitychange", this.hide);
    this.post.flush();
    this.post.end();
  }
}

function union(a, b) {
  return {
    left: Math.min(a.left, b.left), top: Math.min(a.top, b.top),
    right: Math.max(a.right, b.right), bottom: Math.max(a.bottom, b.bottom),
  };
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  let labelling = instances.get(parentElement);
  if (!labelling) instances.set(parentElement, (labelling = new Labelling(parentElement)));
  labelling.show(data, (told) => setTriggerValue("drawn", told));
  return () => {
    labelling.leave();
    instances.delete(parentElement);
  };
}
