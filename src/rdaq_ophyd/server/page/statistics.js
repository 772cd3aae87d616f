// Numbers about a frame, in the worker: levels and histogram from a sample of it, regions and lines from all their pixels.

export const BINS = 128;
const SAMPLED = 16384; // pixels: enough for percentiles, and sorted in about a millisecond
const [DARK, BRIGHT] = [0.01, 0.998]; // shares of the sample below the automatic levels

// Levels that leave out the darkest and the brightest few, and a histogram between the extremes of the sample.
export function sample(pixels) {
  const step = Math.max(1, Math.floor(pixels.length / SAMPLED) | 1); // odd: not the same column of each row
  const taken = new pixels.constructor(Math.ceil(pixels.length / step));
  for (let from = 0, to = 0; from < pixels.length; from += step) taken[to++] = pixels[from];
  taken.sort();
  const at = (share) => taken[Math.min(taken.length - 1, Math.floor(share * taken.length))];
  const [lowest, highest] = [taken[0], taken[taken.length - 1]];
  const bins = new Uint32Array(BINS);
  const scale = BINS / (highest - lowest + 1);
  for (const value of taken) bins[Math.floor((value - lowest) * scale)]++;
  return { low: at(DARK), high: Math.max(at(BRIGHT), at(DARK) + 1), lowest, highest, bins };
}

// How many pixels are at `level` or above.
export function countSaturated(pixels, level) {
  let count = 0;
  for (let index = 0; index < pixels.length; index++) if (pixels[index] >= level) count++;
  return count;
}

// Of a rectangle of whole pixels: number, least, greatest, sum, mean, standard deviation, and the centre of gravity (pixels).
export function region(pixels, width, height, roi) {
  const [left, top] = [Math.max(0, Math.floor(roi.x)), Math.max(0, Math.floor(roi.y))];
  const right = Math.min(width, Math.floor(roi.x + roi.width));
  const bottom = Math.min(height, Math.floor(roi.y + roi.height));
  let [count, sum, squares, alongX, alongY, least, greatest] = [0, 0, 0, 0, 0, Infinity, -Infinity];
  for (let y = top; y < bottom; y++) {
    for (let x = left, index = y * width + left; x < right; x++, index++) {
      const value = pixels[index];
      count++;
      sum += value;
      squares += value * value;
      alongX += value * (x + 0.5);
      alongY += value * (y + 0.5);
      if (value < least) least = value;
      if (value > greatest) greatest = value;
    }
  }
  if (!count) return null;
  const mean = sum / count;
  const deviation = Math.sqrt(Math.max(0, squares / count - mean * mean));
  return { count, least, greatest, sum, mean, deviation, x: sum ? alongX / sum : NaN, y: sum ? alongY / sum : NaN };
}

// Values along a line, one a pixel of its length, each of the pixel that it passes; NaN outside of the frame.
export function profile(pixels, width, height, { x0, y0, x1, y1 }) {
  const length = Math.hypot(x1 - x0, y1 - y0);
  const values = new Float64Array(Math.floor(length) + 1);
  for (let index = 0; index < values.length; index++) {
    const share = length ? index / length : 0;
    const [x, y] = [Math.floor(x0 + share * (x1 - x0)), Math.floor(y0 + share * (y1 - y0))];
    values[index] = x >= 0 && y >= 0 && x < width && y < height ? pixels[y * width + x] : NaN;
  }
  return values;
}
