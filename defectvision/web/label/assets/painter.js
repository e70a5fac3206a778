// Draws the masks over the picture: for each px of the screen, whether a mask has a px under it.
// Only what is in sight is looked at, and after a stroke only where it went.

const SAMPLES = 3; // along a side of a screen px where many px of the image lie under it

class Painter {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
  }

  // masks: [{ bits, reach, colour }] from the lowest to the highest; where: a box in px of the
  // image, null for all there is; opacity: 0 to 1; coarse: while the picture moves.
  paint(view, bitmaps, masks, { opacity, where, coarse }) {
    const { scale, x, y } = view;
    const room = this.size();
    let left = -1, top = -1, right = room.width + 1, bottom = room.height + 1;
    if (where) {
      left = Math.max(left, Math.floor(where.left * scale + x) - 2);
      top = Math.max(top, Math.floor(where.top * scale + y) - 2);
      right = Math.min(right, Math.ceil(where.right * scale + x) + 2);
      bottom = Math.min(bottom, Math.ceil(where.bottom * scale + y) + 2);
    }
    const wide = right - left, high = bottom - top;
    if (wide < 3 || high < 3) return;
    const each = coarse ? 1 : Math.min(SAMPLES, Math.ceil(1 / scale));
    const columns = places(left, right, x, scale, each, bitmaps.width);
    const lines = places(top, bottom, y, scale, each, bitmaps.height);
    const grid = new Uint8Array(wide * high);
    masks.forEach(({ bits, reach }, place) => {
      for (let i = 0; i < columns.length; i += 1) {
        const column = columns[i];
        if (column < reach[0] || column >= reach[1]) continue;
        const start = column * bitmaps.height;
        let at = Math.floor(i / each);
        for (let j = 0; j < lines.length; at += wide) {
          for (const end = j + each; j < end; j += 1) {
            if (lines[j] >= 0 && bits[start + lines[j]]) grid[at] = place + 1;
          }
        }
      }
    });
    const image = this.context.createImageData(wide, high);
    this.colour(grid, new Uint32Array(image.data.buffer), wide, high, masks, opacity);
    // The outermost px know but one of their neighbours.
    this.context.putImageData(image, left, top, 1, 1, wide - 2, high - 2);
  }

  colour(grid, colours, wide, high, masks, opacity) {
    const plain = [0], edge = [0];
    for (const { colour } of masks) {
      const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
      const of = (alpha) => ((Math.round(alpha * 255) << 24) | (b << 16) | (g << 8) | r) >>> 0;
      plain.push(of(opacity * 0.75));
      edge.push(of(Math.min(1, opacity * 2)));
    }
    for (let row = 1; row < high - 1; row += 1) {
      for (let i = row * wide + 1; i < (row + 1) * wide - 1; i += 1) {
        const mark = grid[i];
        if (!mark) continue;
        const within = grid[i - 1] === mark && grid[i + 1] === mark
          && grid[i - wide] === mark && grid[i + wide] === mark;
        colours[i] = within ? plain[mark] : edge[mark];
      }
    }
  }

  size() {
    const width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    if (this.canvas.width !== width || this.canvas.height !== height) {
      Object.assign(this.canvas, { width, height });
    }
    return { width, height };
  }
}

// Columns or rows of the image under screen px `from` to `to`, `each` for every one; -1 beside it.
function places(from, to, shift, scale, each, most) {
  const found = new Int32Array((to - from) * each);
  for (let i = 0; i < found.length; i += 1) {
    const place = Math.floor((from - shift + (i + 0.5) / each) / scale);
    found[i] = place >= 0 && place < most ? place : -1;
  }
  return found;
}
