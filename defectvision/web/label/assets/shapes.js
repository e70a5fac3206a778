// Which px a shape covers, column by column: put(x, top, bottom) gets rows top to bottom - 1 of
// column x. Places are in px of the image with corners on whole numbers: a px is covered where its
// centre is. `box` is the part of the image that is looked at.

function around(points, radius) {
  const xs = points.map((point) => point.x), ys = points.map((point) => point.y);
  return {
    left: Math.floor(Math.min(...xs) - radius), right: Math.ceil(Math.max(...xs) + radius),
    top: Math.floor(Math.min(...ys) - radius), bottom: Math.ceil(Math.max(...ys) + radius),
  };
}

// Rows whose centres lie between two heights.
function rows(low, high, box, x, put) {
  const top = Math.max(box.top, Math.ceil(low - 0.5));
  const bottom = Math.min(box.bottom, Math.floor(high - 0.5) + 1);
  if (top < bottom) put(x, top, bottom);
}

// What a round brush covers that is drawn from a to b.
function capsule(a, b, radius, box, put) {
  const dx = b.x - a.x, dy = b.y - a.y;
  const length = Math.hypot(dx, dy);
  for (let x = box.left; x < box.right; x += 1) {
    const cx = x + 0.5;
    let low = Infinity, high = -Infinity;
    for (const end of length ? [a, b] : [a]) {
      const half = radius ** 2 - (cx - end.x) ** 2;
      if (half < 0) continue;
      low = Math.min(low, end.y - Math.sqrt(half));
      high = Math.max(high, end.y + Math.sqrt(half));
    }
    if (length) {
      // Beside the line by at most the radius, and along it between its ends.
      const [from, to] = meet(
        between(dx, -dy * (cx - a.x), radius * length),
        between(dy, dx * (cx - a.x) - length ** 2 / 2, length ** 2 / 2),
      );
      if (from <= to) {
        low = Math.min(low, a.y + from);
        high = Math.max(high, a.y + to);
      }
    }
    rows(low, high, box, x, put);
  }
}

// The v for which |slope * v + offset| <= most.
function between(slope, offset, most) {
  if (slope === 0) return Math.abs(offset) <= most ? [-Infinity, Infinity] : [1, 0];
  const ends = [(-most - offset) / slope, (most - offset) / slope];
  return ends[0] < ends[1] ? ends : ends.reverse();
}

function meet([a, b], [c, d]) {
  return [Math.max(a, c), Math.min(b, d)];
}

function rectangle(box, put) {
  for (let x = box.left; x < box.right; x += 1) put(x, box.top, box.bottom);
}

// The inside of a polygon by the even-odd rule.
function polygon(corners, box, put) {
  for (let x = box.left; x < box.right; x += 1) {
    const cx = x + 0.5;
    const crossed = [];
    corners.forEach((a, place) => {
      const b = corners[(place + 1) % corners.length];
      if (a.x <= cx !== b.x <= cx) crossed.push(a.y + ((cx - a.x) / (b.x - a.x)) * (b.y - a.y));
    });
    crossed.sort((p, q) => p - q);
    for (let i = 0; i + 1 < crossed.length; i += 2) rows(crossed[i], crossed[i + 1], box, x, put);
  }
}
