// Mouse, pen, fingers and keys. A pen or a mouse draws; so does a finger until a pen has been seen,
// whose hand lies on the screen. Two fingers, the middle button or the space bar move the picture.

const EDITABLE = "input:not([type=range], [type=radio], [type=checkbox]), textarea, select, " +
  "[contenteditable=true]";
const MIDDLE = 1, ERASER_END = 32;

class Hands {
  constructor(canvas) {
    Object.assign(this, { canvas, stage: canvas.stage, touching: new Map() });
    Object.assign(this, { held: null, over: null, space: false, pen: false });
    const { stage } = this;
    stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    stage.addEventListener("pointerdown", (event) => this.down(event));
    stage.addEventListener("pointermove", (event) => this.move(event));
    stage.addEventListener("pointerup", (event) => this.up(event));
    stage.addEventListener("pointercancel", (event) => this.lost(event));
    stage.addEventListener("pointerleave", () => this.away());
    this.keydown = (event) => this.key(event);
    this.keyup = (event) => event.key === " " && (this.space = false);
    document.addEventListener("keydown", this.keydown, { capture: true });
    document.addEventListener("keyup", this.keyup, { capture: true });
  }

  end() {
    document.removeEventListener("keydown", this.keydown, { capture: true });
    document.removeEventListener("keyup", this.keyup, { capture: true });
  }

  at(event) {
    const box = this.stage.getBoundingClientRect();
    return {
      x: event.clientX - box.left - this.stage.clientLeft,
      y: event.clientY - box.top - this.stage.clientTop,
    };
  }

  wheel(event) {
    event.preventDefault();
    const step = event.deltaMode === 1 ? event.deltaY * 16 : event.deltaY;
    this.canvas.view.zoom(Math.exp(-Math.max(-240, Math.min(240, step)) * 0.0018), this.at(event));
  }

  // --- pointers --------------------------------------------------------------------------

  down(event) {
    const { canvas } = this;
    if (!canvas.data || canvas.left || event.button > MIDDLE) return;
    this.stage.setPointerCapture(event.pointerId);
    if (event.pointerType === "pen") this.pen = true;
    const finger = event.pointerType === "touch";
    if (finger) this.touching.set(event.pointerId, this.at(event));
    if (this.touching.size > 1) {
      // The first finger was no stroke.
      if (this.held !== "pan") canvas.cancel();
      this.held = "pan";
      return;
    }
    this.last = this.at(event);
    const moves = event.button === MIDDLE || this.space || (finger && this.pen) || !canvas.tool;
    if (event.button === MIDDLE) event.preventDefault();
    const less = event.shiftKey || Boolean(event.buttons & ERASER_END);
    if (moves) this.held = "pan";
    else if (canvas.tool.press(canvas.view.inImage(this.last), less)) {
      this.held = "tool";
      this.pointer = event.pointerId;
    }
    this.stage.classList.toggle("held", this.held === "pan");
  }

  move(event) {
    const { canvas } = this;
    if (!canvas.data) return;
    const now = this.at(event);
    this.read(now);
    if (this.touching.size > 1) this.pinch(event.pointerId, now);
    else if (this.held === "pan") canvas.view.pan(now.x - this.last.x, now.y - this.last.y);
    else if (this.held === "tool" && event.pointerId === this.pointer) {
      const between = event.getCoalescedEvents?.() ?? [];
      for (const each of between.length ? between : [event]) {
        canvas.tool.move(canvas.view.inImage(this.at(each)));
      }
    } else canvas.tool?.hover?.(canvas.view.inImage(now));
    this.last = now;
    this.over = event.pointerType === "touch" ? null : now;
    canvas.sketch();
  }

  pinch(id, now) {
    const before = this.touching.get(id);
    if (!before) return;
    const [other] = [...this.touching].filter(([key]) => key !== id).map(([, place]) => place);
    const apart = (place) => Math.hypot(place.x - other.x, place.y - other.y) || 1;
    const { view } = this.canvas;
    view.zoom(apart(now) / apart(before), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
    view.pan((now.x - before.x) / 2, (now.y - before.y) / 2);
    this.touching.set(id, now);
  }

  up(event) {
    this.touching.delete(event.pointerId);
    const draws = this.held === "tool" && event.pointerId === this.pointer;
    if (draws || !this.touching.size) this.held = null;
    if (draws) this.canvas.tool.release();
    this.stage.classList.toggle("held", this.held === "pan");
  }

  lost(event) {
    if (this.held === "tool" && event.pointerId === this.pointer) this.canvas.cancel();
    this.touching.delete(event.pointerId);
    if (!this.touching.size) this.held = null;
  }

  // Lets go of what is being drawn.
  drop() {
    if (this.held === "tool") this.held = null;
  }

  away() {
    this.over = null;
    this.canvas.find(".readout").textContent = "";
    this.canvas.sketch();
  }

  read(at) {
    const { x, y } = this.canvas.view.inImage(at);
    const { width, height } = this.canvas.data;
    const inside = x >= 0 && y >= 0 && x < width && y < height;
    const words = inside ? `x ${Math.floor(x)}, y ${Math.floor(y)} px` : "";
    this.canvas.find(".readout").textContent = words;
  }

  // --- keys ------------------------------------------------------------------------------

  // Keys are the canvas' unless somebody writes elsewhere, or looks at a dialog or a menu. Those that
  // mean something to a button or a slider are theirs while they have the focus.
  key(event) {
    const { canvas } = this;
    const path = event.composedPath();
    const [target] = path;
    if (!canvas.data || event.isComposing || target.matches?.(EDITABLE)) return;
    if (document.querySelector("[role=dialog], [role=listbox], [role=menu]")) return;
    const free = target === document.body || target === this.stage;
    // On many keyboards the brackets need AltGr, which reads as Ctrl and Alt on some.
    const typed = event.getModifierState("AltGraph");
    if (event.altKey && !typed) return;
    const commands = (event.ctrlKey || event.metaKey) && !typed;
    const act = commands ? this.command(event) : this.action(event, free);
    if (!act) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (!canvas.left) act();
  }

  command(event) {
    const { canvas } = this;
    if (!canvas.data.drawable && event.key.toLowerCase() !== "z") return null;
    const key = event.key.toLowerCase();
    if (key === "z") return () => (event.shiftKey ? canvas.redo() : canvas.undo());
    return key === "y" ? () => canvas.redo() : null;
  }

  action(event, free) {
    const { canvas } = this;
    const { view, classes, data } = canvas;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    // Where digits need the Shift key, the place of the key counts too.
    const digit = /^Digit([1-9])$/.exec(event.code)?.[1];
    const about = data.classes.find((each) => each.key && [key, digit].includes(each.key));
    if (about) return () => event.repeat || classes.choose(about.name);
    const open = data.drawable && settings.tool === "polygon" && canvas.tools.polygon.open;
    const once = (step) => () => event.repeat || canvas.go(step);
    const places = {
      ArrowRight: once("next"), ArrowLeft: once("previous"),
      Enter: open ? () => canvas.tools.polygon.close() : once("save"),
      " ": () => (this.space = true),
    };
    if (key in places) return free ? places[key] : null;
    const actions = {
      n: once("next"), p: once("previous"),
      "+": () => view.zoom(1.25), "=": () => view.zoom(1.25),
      "-": () => view.zoom(0.8), _: () => view.zoom(0.8), 0: () => view.fit(),
    };
    if (classes.active !== null) actions.Delete = () => classes.remove(classes.active);
    if (data.drawable) {
      for (const [letter, tool] of Object.entries(TOOLS)) actions[letter] = () => canvas.use(tool);
      actions["["] = () => canvas.resize(0.8);
      actions["]"] = () => canvas.resize(1.25);
      if (Object.keys(data.suggested).length) actions.t = () => event.repeat || canvas.suggest();
      if (this.held === "tool" || open) actions.Escape = () => canvas.cancel();
      if (open) actions.Backspace = () => canvas.tools.polygon.back();
    }
    return actions[key];
  }
}
