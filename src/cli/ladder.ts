import type { LadderEntry } from '../link/index.ts';
import { printable, width } from './table.ts';

/** Columns are never narrower than this, so that an arrow has room for a first line. */
const MIN_LANE = 34;
const TIME_WIDTH = 12;
const OURS = 'twinline';

/**
 * A call's messages as a ladder: a column for each phone, ours behind the caller's, an arrow with the first line for each message, the time
 * at the left. Pure: the same entries give the same text.
 * @param columns of the terminal; wider first lines are cut
 */
export function drawLadder(entries: readonly LadderEntry[], columns = 120): string {
  if (entries.length === 0) return '';
  const laneOf = assignLanes(entries);
  const phones = [...new Set(laneOf)].map((lane) => entries[laneOf.indexOf(lane)]!);
  // Ours stands behind the caller's, which is the phone that spoke first.
  const place = (lane: number): number => places[lane === 0 ? 0 : lane + 1]!;
  const laneWidth = Math.max(MIN_LANE, Math.floor((columns - TIME_WIDTH - 10) / phones.length));
  const places = Array.from({ length: phones.length + 1 }, (_, index) => TIME_WIDTH + 4 + index * laneWidth);
  const titles = phones.map(({ peer, transport }) => printable(`${peer} ${transport.toUpperCase()}`));
  titles.splice(1, 0, OURS);

  const lines = [header(titles, places), rails(places)];
  let last: LadderEntry | undefined;
  for (const [index, entry] of entries.entries()) {
    if (last !== undefined && last.switch !== entry.switch)
      lines.push(note(`${entry.switch} goes on`, places), rails(places));
    lines.push(arrow(entry, place(laneOf[index]!), places[1]!, places));
    last = entry;
  }
  lines.push(rails(places));
  return lines.join('\n');
}

/**
 * A lane for each entry, by its leg and by its phone's address: a message that came in was written down before anybody knew its leg, and a
 * phone may come back over another connection.
 */
function assignLanes(entries: readonly LadderEntry[]): number[] {
  const byLeg = new Map<string, number>();
  const byPhone = new Map<string, { lane: number; leg: string }>();
  let lanes = 0;
  return entries.map(({ leg, peer, transport }) => {
    const phone = `${peer} ${transport}`;
    const known = byPhone.get(phone);
    // Two legs to one address are two lanes: somebody called themselves.
    const fits = known !== undefined && (leg === '' || known.leg === '' || known.leg === leg);
    const lane = byLeg.get(leg) ?? (fits ? known.lane : lanes++);
    if (leg !== '') byLeg.set(leg, lane);
    if (known === undefined || (known.leg === '' && known.lane === lane)) byPhone.set(phone, { lane, leg });
    return lane;
  });
}

function header(titles: readonly string[], places: readonly number[]): string {
  let line = '';
  titles.forEach((title, index) => {
    const start = Math.max(
      width(line) + (index === 0 ? 0 : 2),
      places[index]! - Math.floor(width(title) / 2),
    );
    line += ' '.repeat(Math.max(0, start - width(line))) + title;
  });
  return line;
}

const rails = (places: readonly number[]): string => draw(places, () => {});

/** A line with a rail in each place, then whatever `mark` puts over it. */
function draw(places: readonly number[], mark: (cells: string[]) => void): string {
  const cells = Array.from({ length: places.at(-1)! + 1 }, () => ' ');
  for (const place of places) cells[place] = '│';
  mark(cells);
  return cells.join('').trimEnd();
}

function arrow(entry: LadderEntry, theirs: number, ours: number, places: readonly number[]): string {
  const left = Math.min(theirs, ours);
  const right = Math.max(theirs, ours);
  const toTheRight = (entry.direction === 'in') === theirs < ours;
  const room = right - left - 6;
  const text = cut(printable(entry.summary), room);
  return draw(places, (cells) => {
    put(cells, 0, timeOf(entry.utcMs));
    for (let at = left + 1; at < right; at++) cells[at] = '─';
    if (toTheRight) cells[right - 1] = '▶';
    else cells[left + 1] = '◀';
    put(cells, left + 3, ` ${text} `);
  });
}

function note(text: string, places: readonly number[]): string {
  const middle = places[1]!;
  return draw(places, (cells) => put(cells, middle - Math.floor(width(text) / 2) - 1, `[${text}]`));
}

function put(cells: string[], at: number, text: string): void {
  [...text].forEach((character, index) => {
    cells[at + index] = character;
  });
}

/** The part of the summary that is the message's first line comes first; what does not fit is left out. */
function cut(text: string, room: number): string {
  const characters = [...text];
  return characters.length <= room ? text : `${characters.slice(0, Math.max(0, room - 1)).join('')}…`;
}

/** UTC, as in the logs. */
const timeOf = (utcMs: number): string => new Date(utcMs).toISOString().slice(11, 23);
