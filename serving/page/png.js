// Strokes as a PNG, drawn here and not read back from a canvas: a browser that resists fingerprinting gives noise for that.

const PAPER = 255; // grey
const INK = 24;

/** Strokes, each its width and a list of points [x, y], on a square of so many pixels: a grey PNG. */
export async function png(strokes, side) {
  const rows = new Uint8Array(side * (side + 1)); // each begins with its filter, 0: none
  const cover = new Float32Array(side * side);
  for (const { width, points } of strokes) points.forEach((point, index) => line(cover, side, width / 2, points[index - 1] ?? point, point));
  cover.forEach((share, at) => (rows[at + Math.floor(at / side) + 1] = Math.round(PAPER + share * (INK - PAPER))));
  const header = [...number(side), ...number(side), 8, 0, 0, 0, 0]; // eight bits of grey, not interlaced
  const parts = [chunk("IHDR", Uint8Array.from(header)), chunk("IDAT", await deflated(rows)), chunk("IEND", new Uint8Array())];
  return new Blob([Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10), ...parts], { type: "image/png" });
}

/** Cover the pixels within the radius of a line, those at its edge in part. */
function line(cover, side, radius, [x, y], [toX, toY]) {
  const within = (value) => Math.min(Math.max(Math.floor(value), 0), side);
  const length = (toX - x) ** 2 + (toY - y) ** 2 || 1;
  for (let row = within(Math.min(y, toY) - radius - 1); row < within(Math.max(y, toY) + radius + 2); row++) {
    for (let column = within(Math.min(x, toX) - radius - 1); column < within(Math.max(x, toX) + radius + 2); column++) {
      const [right, down] = [column + 0.5 - x, row + 0.5 - y];
      const along = Math.min(Math.max((right * (toX - x) + down * (toY - y)) / length, 0), 1);
      const away = Math.hypot(right - along * (toX - x), down - along * (toY - y));
      const at = row * side + column;
      cover[at] = Math.max(cover[at], Math.min(Math.max(radius + 0.5 - away, 0), 1));
    }
  }
}

async function deflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function chunk(name, content) {
  const named = Uint8Array.from([...new TextEncoder().encode(name), ...content]);
  return Uint8Array.from([...number(content.length), ...named, ...number(checksum(named))]);
}

function number(value) {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255);
}

/** CRC-32, as PNG has it. */
function checksum(bytes) {
  let found = ~0;
  for (const byte of bytes) {
    found ^= byte;
    for (let bit = 0; bit < 8; bit++) found = (found >>> 1) ^ (found & 1 ? 0xedb88320 : 0);
  }
  return ~found >>> 0;
}
