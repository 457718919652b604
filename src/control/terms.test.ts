import { describe, expect, test } from 'vitest';
import type { Term } from '../directory/index.ts';
import {
  termAtStart,
  termReturned,
  termWhenDeserted,
  termWhenHomeHears,
  termWhenLost,
  termWhenSecondaryHears,
  unmetTerm,
} from './terms.ts';

/** Two data centres, `fra` and its secondary `ams`, and what each holds about the users of `fra`. */
class Pair {
  fra: Term | undefined;
  ams = unmetTerm('fra');
  utcMs = 1000;

  startFra(uninterrupted = false): this {
    this.fra =
      termAtStart(this.fra, { home: 'fra', secondary: 'ams', uninterrupted, utcMs: this.utcMs }) ?? this.fra;
    return this;
  }
  /** They exchange what they hold, until nothing changes. */
  meet(phonesStayed = false): this {
    for (let round = 0; round < 3; round++) {
      const about = { secondary: 'ams', phonesStayed, utcMs: this.utcMs };
      this.fra = termWhenHomeHears(this.fra!, this.ams, about) ?? this.fra!;
      this.ams = termWhenSecondaryHears(this.ams, this.fra) ?? this.ams;
    }
    return this;
  }
  amsLosesFra(): this {
    this.ams = termWhenLost(this.ams, 'ams', this.utcMs) ?? this.ams;
    return this;
  }
  fraIsDeserted(): this {
    this.fra = termWhenDeserted(this.fra!, 'ams', this.utcMs) ?? this.fra;
    return this;
  }
  /** Said at `fra`. */
  operatorReturns(known: Term | 'unreachable' = this.ams): this {
    this.fra = termReturned(this.fra!, known === 'unreachable' ? undefined : known, this.utcMs);
    return this;
  }
  get serving(): [string, string] {
    return [this.fra!.serving, this.ams.serving];
  }
}

describe('who serves the users of fra', () => {
  test('fra, from its first start', () => {
    expect(new Pair().startFra().serving).toEqual(['fra', 'fra']);
    expect(new Pair().startFra().meet().serving).toEqual(['fra', 'fra']);
  });

  test('ams when fra is lost; fra comes back and stands by until the operator says so (PH-ZONE-12)', () => {
    const pair = new Pair().startFra().meet().amsLosesFra();
    expect(pair.ams).toMatchObject({ serving: 'ams', why: 'lost' });
    pair.startFra();
    expect(pair.serving).toEqual(['ams', 'ams']);
    expect(pair.meet().serving).toEqual(['ams', 'ams']);
    expect(pair.startFra().meet(true).serving).toEqual(['ams', 'ams']);
    expect(pair.operatorReturns().meet().serving).toEqual(['fra', 'fra']);
  });

  test('fra was away for a moment, unnoticed by ams: it serves as soon as ams has said so', () => {
    const pair = new Pair().startFra().meet().startFra();
    expect(pair.fra).toMatchObject({ serving: 'ams', why: 'unsure' });
    expect(pair.meet().serving).toEqual(['fra', 'fra']);
  });

  test('only control of fra was away: fra serves on without a question', () => {
    const pair = new Pair().startFra().meet().startFra(true);
    expect(pair.serving).toEqual(['fra', 'fra']);
  });

  test('the way between the two is cut, and phones stay at fra: ams gives back what it took', () => {
    const pair = new Pair().startFra().meet().amsLosesFra();
    expect(pair.serving).toEqual(['fra', 'ams']);
    expect(pair.meet(true).serving).toEqual(['fra', 'fra']);
    expect(pair.fra?.why).toBe('kept');
  });

  test('fra was cut off from everybody: it stands by before it hears of ams again', () => {
    const pair = new Pair().startFra().meet().amsLosesFra().fraIsDeserted();
    expect(pair.serving).toEqual(['ams', 'ams']);
    // What registers in the second before they meet proves nothing any more.
    expect(pair.meet(true).serving).toEqual(['ams', 'ams']);
  });

  test('fra was cut off for too short a time to be deserted, and no phone came meanwhile: ams keeps them', () => {
    expect(new Pair().startFra().meet().amsLosesFra().meet(false).serving).toEqual(['ams', 'ams']);
  });

  test('both were stopped; ams started first and took over from nobody: the first start of fra is not refused', () => {
    const pair = new Pair().amsLosesFra();
    expect(pair.startFra().meet().serving).toEqual(['fra', 'fra']);
  });

  test('ams is gone for good: the operator returns fra alone; when ams comes back it learns of it', () => {
    const pair = new Pair().startFra().meet().amsLosesFra();
    pair.startFra().operatorReturns('unreachable');
    expect(pair.fra?.serving).toBe('fra');
    // The same number as that of ams: the home counts.
    expect(pair.fra?.number).toBe(pair.ams.number);
    expect(pair.meet().serving).toEqual(['fra', 'fra']);
  });

  test('ams has forgotten everything: fra, unsure, serves', () => {
    const pair = new Pair().startFra().meet().startFra();
    pair.ams = unmetTerm('fra');
    expect(pair.meet().serving).toEqual(['fra', 'fra']);
  });

  test('a second loss is a second take-over', () => {
    const pair = new Pair().startFra().meet().amsLosesFra().startFra().meet().operatorReturns().meet();
    expect(pair.amsLosesFra().startFra().meet().serving).toEqual(['ams', 'ams']);
    expect(pair.operatorReturns().meet().serving).toEqual(['fra', 'fra']);
  });
});
