// Smart fill: what hangs together with a place and looks like it, up to the next edge. It looks at
// the picture that the browser has; where that is a reduced one, it is as exact as its px.

const EDGE = 0.7; // of the tolerance: what two neighbours may differ by
const HOLES = 0.01; // of what was found: a hole up to this share is noise

class Region {
  // image: an <img> that has loaded.
  constructor(image) {
    this.width = image.naturalWidth;
    this.height = image.naturalHeight;
    const canvas = new OffscreenCanvas(this.width, this.height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    this.pixels = context.getImageData(0, 0, this.width, this.height).data;
    this.inside = new Uint8Array(this.width * this.height);
    this.stack = new Int32Array(this.width * this.height);
  }

  // Looks at px i (of the picture, row by row) next to j.
  near(i, j, most) {
    const { pixels } = this;
    const a = 4 * i, b = 4 * j;
    return Math.abs(pixels[a] - pixels[b]) <= most
      && Math.abs(pixels[a + 1] - pixels[b + 1]) <= most
      && Math.abs(pixels[a + 2] - pixels[b + 2]) <= most;
  }

  // The colour of a place: of its neighbours too, as far as they are like it.
  colour(seed, tolerance) {
    const x = seed % this.width, y = Math.floor(seed / this.width);
    const sum = [0, 0, 0];
    let count = 0;
    for (let v = Math.max(0, y - 1); v <= Math.min(this.height - 1, y + 1); v += 1) {
      for (let u = Math.max(0, x - 1); u <= Math.min(this.width - 1, x + 1); u += 1) {
        const at = v * this.width + u;
        if (!this.near(at, seed, tolerance)) continue;
        count += 1;
        for (let c = 0; c < 3; c += 1) sum[c] += this.pixels[4 * at + c];
      }
    }
    return sum.map((value) => value / count);
  }

  // Marks in `inside` what belongs to the px (x, y); its box, right and bottom outside.
  find(x, y, tolerance) {
    const { width, height, pixels, inside, stack } = this;
    inside.fill(0);
    const seed = y * width + x;
    const [red, green, blue] = this.colour(seed, tolerance);
    const step = Math.max(2, tolerance * EDGE);
    const box = { left: x, top: y, right: x + 1, bottom: y + 1 };
    let size = 1, count = 1;
    stack[0] = seed;
    inside[seed] = 1;
    const look = (i, j) => {
      if (inside[i]) return;
      const a = 4 * i;
      if (Math.abs(pixels[a] - red) > tolerance || Math.abs(pixels[a + 1] - green) > tolerance
        || Math.abs(pixels[a + 2] - blue) > tolerance || !this.near(i, j, step)) return;
      inside[i] = 1;
      count += 1;
      stack[size] = i;
      size += 1;
    };
    while (size) {
      size -= 1;
      const j = stack[size];
      const u = j % width, v = (j - u) / width;
      if (u < box.left) box.left = u;
      if (u >= box.right) box.right = u + 1;
      if (v < box.top) box.top = v;
      if (v >= box.bottom) box.bottom = v + 1;
      if (u > 0) look(j - 1, j);
      if (u + 1 < width) look(j + 1, j);
      if (v > 0) look(j - width, j);
      if (v + 1 < height) look(j + width, j);
    }
    this.close(box, Math.max(4, count * HOLES));
    return box;
  }

  // Fills holes of up to `most` px. What is outside reaches the box' border.
  close(box, most) {
    const { width, inside, stack } = this;
    const { left, top } = box;
    const right = box.right - 1, bottom = box.bottom - 1;
    let size = 0;
    const see = (i) => {
      if (inside[i]) return;
      inside[i] = 2; // seen
      stack[size] = i;
      size += 1;
    };
    for (let y = top; y <= bottom; y += 1) {
      for (let x = left; x <= right; x += 1) {
        if (inside[y * width + x]) continue;
        let open = false;
        size = 0;
        see(y * width + x);
        for (let place = 0; place < size; place += 1) {
          const j = stack[place];
          const u = j % width, v = (j - u) / width;
          if (u > left) see(j - 1);
          else open = true;
          if (u < right) see(j + 1);
          else open = true;
          if (v > top) see(j - width);
          else open = true;
          if (v < bottom) see(j + width);
          else open = true;
        }
        if (!open && size <= most) for (let i = 0; i < size; i += 1) inside[stack[i]] = 1;
      }
    }
  }

  // Gives what was found as rows of the image, which may be larger than the picture.
  spans(found, image, put) {
    const across = image.width / this.width, down = image.height / this.height;
    const first = (place, by) => Math.ceil(place * by - 0.5);
    for (let u = found.left; u < found.right; u += 1) {
      for (let v = found.top; v < found.bottom; v += 1) {
        if (this.inside[v * this.width + u] !== 1) continue;
        const top = v;
        while (v < found.bottom && this.inside[v * this.width + u] === 1) v += 1;
        for (let x = first(u, across); x < first(u + 1, across); x += 1) {
          put(x, first(top, down), first(v, down));
        }
      }
    }
  }
}
