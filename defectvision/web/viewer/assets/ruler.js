// A length in the picture: two clicks, or two presses of Enter at the cross in the middle. It is
// told in px, and in mm where the scale is known; its true length, where somebody types it, is sent
// to Python as the scale.

class Ruler {
  constructor(viewer, find) {
    this.viewer = viewer;
    this.find = find;
    this.points = [];
    this.active = false;
    this.svg = find(".ruler");
    find(".ruler-switch").addEventListener("click", () => this.switch());
    find(".true-length").addEventListener("submit", (event) => {
      event.preventDefault();
      const length = Number(find(".millimetres").value);
      if (length > 0 && this.length > 0) this.setScale?.(length / this.length);
    });
  }

  // Of another picture, or on a page where the scale is not to be moved.
  show(scale, setScale, another) {
    this.scale = scale;
    this.setScale = setScale;
    if (another) this.points = [];
    this.draw();
  }

  get length() {
    const [from, to] = this.points;
    return to ? Math.hypot(to.x - from.x, to.y - from.y) : 0;
  }

  switch() {
    this.active = !this.active;
    this.points = [];
    if (this.active) {
      this.viewer.only(this);
      this.viewer.stage.focus();
    }
    this.draw();
  }

  // A point of the picture in px; a third one begins anew.
  mark(point) {
    if (this.points.length === 2) this.points = [];
    this.points.push(point);
    this.draw();
  }

  draw() {
    const { width, height } = this.viewer.data;
    this.find(".ruler-switch").setAttribute("aria-pressed", this.active);
    this.viewer.showTool();
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.toggleAttribute("hidden", !this.active);
    const [from, to] = this.points;
    const line = this.svg.querySelector("line");
    const end = to ?? from;
    line.toggleAttribute("hidden", !from);
    if (from) {
      for (const [name, value] of Object.entries({ x1: from.x, y1: from.y, x2: end.x, y2: end.y })) {
        line.setAttribute(name, value);
      }
    }
    this.find(".length").textContent = this.words();
    this.find(".true-length").hidden = !(this.active && to && this.setScale);
  }

  words() {
    if (!this.active) return "";
    if (this.points.length < 2) {
      return this.points.length ? "Now the other end." : "Click both ends of a length.";
    }
    const millimetres = this.scale ? ` = ${(this.length * this.scale).toPrecision(4)} mm` : "";
    return `${this.length.toFixed(1)} px${millimetres}`;
  }
}
