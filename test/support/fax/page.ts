import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** ITU-T T.4 §2: 1,728 points in a line of 215 mm; standard resolution, 3.85 lines/mm. */
const WIDTH = 1728;
const DPI = { across: 204, down: 98 };

export interface Page {
  readonly width: number;
  readonly height: number;
  /** One octet a point. */
  readonly points: Buffer;
}

/** Something like print with pictures, of another kind in each line, so that no line may be taken for another. */
export function drawPage(height: number): Page {
  const points = Buffer.alloc(WIDTH * height, 255);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < WIDTH; x++) {
      const word = y % 16 < 11 && ((x >> 2) * 2_654_435_761 + (y >> 4) * 40_503) % 97 < 38;
      const ring = ((x - 864) ** 2 + (2 * y - height) ** 2) % 61_000 < 9_000;
      const number = x >= 8 && x < 136 && ((y >> ((x - 8) >> 3)) & 1) === 1;
      if (x < 144 ? number : x < 900 ? word : ring) points[y * WIDTH + x] = 0;
    }
  }
  return { width: WIDTH, height, points };
}

/** The page as a TIFF of ffmpeg, black and white, as fax machines take it. */
export function writeTiff(page: Page, directory: string): string {
  const file = path.join(directory, 'sent.tif');
  const pgm = path.join(directory, 'sent.pgm');
  writeFileSync(pgm, Buffer.concat([Buffer.from(`P5\n${page.width} ${page.height}\n255\n`), page.points]));
  const shape = ['-vf', `setsar=${DPI.down}/${DPI.across}`, '-pix_fmt', 'monob'];
  const tiff = ['-c:v', 'tiff', '-dpi', String(DPI.across), '-compression_algo', 'raw'];
  execFileSync('ffmpeg', ['-loglevel', 'error', '-y', '-i', pgm, ...shape, ...tiff, file]);
  return file;
}

/** The only page of a TIFF, as ffmpeg reads it. */
export function readTiff(file: string, directory: string): Page {
  const pgm = path.join(directory, 'received.pgm');
  execFileSync('ffmpeg', ['-loglevel', 'error', '-y', '-i', file, '-pix_fmt', 'gray', pgm]);
  const bytes = readFileSync(pgm);
  const [head = '', width, height] = /^P5\n(\d+) (\d+)\n255\n/.exec(bytes.toString('latin1', 0, 40)) ?? [];
  return { width: Number(width), height: Number(height), points: bytes.subarray(head.length) };
}
