"""Pictures with at most 256 colours: a third of the bytes, and of a page of text nobody sees the difference."""

from __future__ import annotations

import base64
import struct
import zlib

from tests.browser.chromium import Tab

# The browser decodes it, keeps the most frequent colour of each kind, and maps the others to the nearest of them.
SCRIPT = """
(async () => {
  const bytes = Uint8Array.from(atob("%s"), (letter) => letter.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const { width, height } = image, canvas = new OffscreenCanvas(width, height).getContext("2d");
  canvas.drawImage(image, 0, 0);
  const data = canvas.getImageData(0, 0, width, height).data, counts = new Map();
  const colour = (at) => (data[at] << 16) | (data[at + 1] << 8) | data[at + 2];
  for (let at = 0; at < data.length; at += 4) counts.set(colour(at), (counts.get(colour(at)) || 0) + 1);
  const alike = new Map();
  for (const [value, count] of [...counts].sort((one, other) => other[1] - one[1])) {
    const group = count > 300 ? -value : value & 0xf0f0f0, known = alike.get(group);
    known ? (known[1] += count) : alike.set(group, [value, count]);
  }
  const kept = [...alike.values()].sort((one, other) => other[1] - one[1]).slice(0, 256).map((pair) => pair[0]);
  const index = new Map(kept.map((value, number) => [value, number]));
  const part = (value, shift) => (value >> shift) & 255;
  const apart = (one, other) => [16, 8, 0].reduce((sum, by) => sum + (part(one, by) - part(other, by)) ** 2, 0);
  for (const value of counts.keys())
    if (!index.has(value)) {
      let best = 0;
      for (let number = 1; number < kept.length; number++)
        if (apart(value, kept[number]) < apart(value, kept[best])) best = number;
      index.set(value, best);
    }
  const chunks = [];
  for (let row = 0; row < height; row++) {
    let line = "";
    for (let at = row * width; at < (row + 1) * width; at++) line += String.fromCharCode(index.get(colour(4 * at)));
    chunks.push(line);
  }
  return { width, height, kept, pixels: btoa(chunks.join("")) };
})()
"""


def reduced(tab: Tab, png: bytes) -> bytes:
    """Return the picture with a palette; `tab` is any page that lets scripts run."""
    told = tab.eval(SCRIPT % base64.b64encode(png).decode())
    width, height, pixels = told["width"], told["height"], base64.b64decode(told["pixels"])
    rows = b"".join(b"\0" + pixels[at : at + width] for at in range(0, len(pixels), width))
    colours = b"".join(colour.to_bytes(3) for colour in told["kept"])
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = (b"IHDR", header), (b"PLTE", colours), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
