// Of a trace with more points than the screen has room for, only what can be seen: drawing it costs what the pixels cost,
// however long the scan is.

const isGap = (value) => value == null || Number.isNaN(value);

// The places of all points on the screen, and which of them begin a line: the first, and those behind a gap.
export function whole(xs, ys, atX, atY) {
  const [x, y, begins] = [[], [], []];
  let down = false;
  for (let index = 0; index < ys.length; index++) {
    const is = !isGap(ys[index]) && !isGap(xs[index]);
    if (is) x.push(atX(xs[index])), y.push(atY(ys[index])), begins.push(!down);
    down = is;
  }
  return { x, y, begins };
}

// Of points one behind the other in one column of the screen, the first, the lowest, the highest and the last draw what all of
// them would; the others are left out.
export function reduced(xs, ys, atX, atY) {
  const [x, y, begins] = [[], [], []];
  let [column, first, least, most, last] = [NaN, -1, -1, -1, -1];
  const push = (index, begin) => {
    x.push(atX(xs[index]));
    y.push(atY(ys[index]));
    begins.push(begin);
  };
  const end = () => {
    if (first < 0) return;
    const [one, other] = least < most ? [least, most] : [most, least];
    if (one > first) push(one, false);
    if (other > first && other !== one) push(other, false);
    if (last > other) push(last, false);
  };
  for (let index = 0; index < ys.length; index++) {
    if (isGap(ys[index]) || isGap(xs[index])) {
      end();
      [column, first] = [NaN, -1];
      continue;
    }
    const here = Math.floor(atX(xs[index]));
    if (here === column) {
      if (ys[index] < ys[least]) least = index;
      if (ys[index] > ys[most]) most = index;
      last = index;
      continue;
    }
    end();
    push(index, first < 0);
    [column, first, least, most, last] = [here, index, index, index, index];
  }
  end();
  return { x, y, begins };
}

// Where x goes to and fro no column is left for long: then which squares of the screen have a point. Their corners, in units
// of one square.
export function squares(xs, ys, atX, atY, side, width, height) {
  const [across, down] = [Math.ceil(width / side) + 1, Math.ceil(height / side) + 1];
  const taken = new Uint8Array(across * down);
  const found = [];
  for (let index = 0; index < ys.length; index++) {
    if (isGap(ys[index]) || isGap(xs[index])) continue;
    const [column, row] = [Math.floor(atX(xs[index]) / side), Math.floor(atY(ys[index]) / side)];
    if (column < 0 || row < 0 || column >= across || row >= down || taken[row * across + column]) continue;
    taken[row * across + column] = 1;
    found.push([column, row]);
  }
  return found;
}
