// What draws. A tool hears press, move and release with places in px of the image; `less` means to
// take away. `press` answers whether something was begun that `release` ends.

const CATCH = 10; // screen px around a polygon's first corner that close it
const TWICE = 4; // screen px around its last corner: a double click

class Brush {
  constructor(canvas, value) {
    Object.assign(this, { canvas, fixed: value });
  }

  press(point, less) {
    this.value = less ? 0 : this.fixed;
    if (!this.canvas.begin(this.value)) return false;
    this.last = this.snap(point);
    this.stamp(this.last);
    return true;
  }

  move(point) {
    const next = this.snap(point);
    if (next.x !== this.last.x || next.y !== this.last.y) this.stamp(next);
  }

  // Moved to the middle of a px or between px, so that a brush of n px covers n px.
  snap({ x, y }) {
    const odd = settings.size % 2;
    const to = (v) => (odd ? Math.floor(v) + 0.5 : Math.round(v));
    return { x: to(x), y: to(y) };
  }

  stamp(next) {
    const { last } = this;
    const radius = settings.size / 2;
    this.canvas.change(this.value, around([last, next], radius), (box, put) =>
      capsule(last, next, radius, box, put),
    );
    this.last = next;
  }

  release() {
    this.canvas.commit(this.value ? "Drawn" : "Erased");
  }

  sketch() {
    return { ring: settings.size / 2 };
  }
}

class Box {
  constructor(canvas) {
    Object.assign(this, { canvas, corners: null });
  }

  press(point, less) {
    if (!this.canvas.ready()) return false;
    Object.assign(this, { corners: [point, point], less });
    return true;
  }

  move(point) {
    this.corners[1] = point;
    this.canvas.sketch();
  }

  // From the px where it began to the px where it ended, both included.
  box() {
    const xs = this.corners.map(({ x }) => Math.floor(x));
    const ys = this.corners.map(({ y }) => Math.floor(y));
    return {
      left: Math.min(...xs), right: Math.max(...xs) + 1,
      top: Math.min(...ys), bottom: Math.max(...ys) + 1,
    };
  }

  release() {
    const box = this.box();
    const value = this.less ? 0 : 1;
    this.cancel();
    if (!this.canvas.begin(value)) return;
    this.canvas.change(value, box, rectangle);
    this.canvas.commit(value ? "Box drawn" : "Taken away");
  }

  cancel() {
    this.corners = null;
    this.canvas.sketch();
  }

  sketch() {
    if (!this.corners) return {};
    const { left, top, right, bottom } = this.box();
    const corner = (x, y) => ({ x, y });
    return {
      corners: [corner(left, top), corner(right, top), corner(right, bottom), corner(left, bottom)],
    };
  }
}

class Polygon {
  constructor(canvas) {
    Object.assign(this, { canvas, corners: [], at: null });
  }

  get open() {
    return this.corners.length > 0;
  }

  press(point, less) {
    if (!this.canvas.ready()) return false;
    const near = (corner, most) =>
      Math.hypot(corner.x - point.x, corner.y - point.y) * this.canvas.view.scale <= most;
    if (this.corners.length > 2 && near(this.corners[0], CATCH)) this.close();
    else if (this.open && near(this.corners.at(-1), TWICE)) this.close();
    else {
      if (!this.open) this.less = less;
      this.corners.push(point);
      const more = 3 - this.corners.length;
      this.canvas.say(more > 0 ? `${more} more corners at least` : "Enter closes the polygon");
      this.canvas.sketch();
    }
    return false;
  }

  hover(point) {
    this.at = point;
  }

  back() {
    this.corners.pop();
    this.canvas.sketch();
  }

  close() {
    const { corners } = this;
    const value = this.less ? 0 : 1;
    if (corners.length < 3) return this.canvas.say("A polygon has three corners at least");
    this.cancel();
    if (!this.canvas.begin(value)) return;
    this.canvas.change(value, around(corners, 0), (box, put) => polygon(corners, box, put));
    this.canvas.commit(value ? "Polygon drawn" : "Taken away");
  }

  cancel() {
    this.corners = [];
    this.canvas.sketch();
  }

  sketch() {
    if (!this.open) return {};
    return { corners: this.at ? [...this.corners, this.at] : this.corners, dots: this.corners };
  }
}

class Fill {
  constructor(canvas) {
    Object.assign(this, { canvas, region: null, last: null });
  }

  // Another picture.
  reset() {
    Object.assign(this, { region: null, last: null });
  }

  // Reads the picture before it is needed.
  prepare() {
    const image = this.canvas.find(".picture");
    if (image.complete && image.naturalWidth) this.region ??= new Region(image);
  }

  press(point, less) {
    const { width, height } = this.canvas.data;
    if (point.x < 0 || point.y < 0 || point.x >= width || point.y >= height) return false;
    this.last = { point, value: less ? 0 : 1 };
    this.run();
    return false;
  }

  run() {
    const { canvas, last } = this;
    this.prepare();
    const { region } = this;
    if (!region || !canvas.begin(last.value)) return;
    const across = canvas.data.width / region.width, down = canvas.data.height / region.height;
    const x = Math.min(region.width - 1, Math.floor(last.point.x / across));
    const y = Math.min(region.height - 1, Math.floor(last.point.y / down));
    const found = region.find(x, y, settings.tolerance);
    const box = {
      left: Math.floor(found.left * across), right: Math.ceil(found.right * across),
      top: Math.floor(found.top * down), bottom: Math.ceil(found.bottom * down),
    };
    canvas.change(last.value, box, (_, put) => region.spans(found, canvas.data, put));
    canvas.commit(last.value ? "Filled" : "Taken away");
    last.entry = canvas.bitmaps.past.at(-1);
  }

  // Fills anew from the same place, as long as nothing else was drawn since.
  again() {
    if (!this.last?.entry || this.canvas.bitmaps.past.at(-1) !== this.last.entry) return;
    this.canvas.undo();
    this.run();
  }
}
