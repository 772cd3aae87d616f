// A frame as a file that other programs read without loss: NumPy's .npy, or PNG with 8 or 16 bits.

const DTYPES = { Uint8Array: "|u1", Uint16Array: "<u2", Uint32Array: "<u4" };

// NumPy's format, version 1.0 (numpy.lib.format): magic, length of the header, header, data; the data begins at a multiple of 64.
export function npy(pixels, width, height) {
  const said = `{'descr': '${DTYPES[pixels.constructor.name]}', 'fortran_order': False, 'shape': (${height}, ${width}), }`;
  const header = said.padEnd(Math.ceil((said.length + 11) / 64) * 64 - 11) + "\n";
  const lead = new Uint8Array([0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, header.length & 255, header.length >> 8]);
  return new Blob([lead, header, pixels], { type: "application/octet-stream" });
}

// PNG (RFC 2083), gray, not interlaced, no filter; 16-bit samples are big-endian there.
export async function png(pixels, width, height) {
  const size = pixels.BYTES_PER_ELEMENT;
  if (size > 2) throw new Error("PNG has at most 16 bits; save it as .npy");
  const rows = new Uint8Array(height * (1 + width * size));
  for (let y = 0, to = 0, from = 0; y < height; y++) {
    rows[to++] = 0;
    for (let x = 0; x < width; x++) {
      const value = pixels[from++];
      if (size === 2) rows[to++] = value >> 8;
      rows[to++] = value & 255;
    }
  }
  const packed = new Response(new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate")));
  const head = new Uint8Array(13);
  const view = new DataView(head.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  head.set([8 * size, 0, 0, 0, 0], 8);
  const parts = [chunk("IHDR", head), chunk("IDAT", new Uint8Array(await packed.arrayBuffer())), chunk("IEND", new Uint8Array(0))];
  return new Blob([new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]), ...parts], { type: "image/png" });
}

function chunk(name, data) {
  const made = new Uint8Array(data.length + 12);
  const view = new DataView(made.buffer);
  view.setUint32(0, data.length);
  made.set(new TextEncoder().encode(name), 4);
  made.set(data, 8);
  view.setUint32(data.length + 8, crc(made.subarray(4, data.length + 8)));
  return made;
}

const CRCS = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? 0xedb88320 ^ (byte >>> 1) : byte >>> 1;
  return byte;
});

function crc(bytes) {
  let value = 0xffffffff;
  for (let index = 0; index < bytes.length; index++) value = CRCS[(value ^ bytes[index]) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}
