/** Why something cannot be heard. The message names the file (or text), where in it, and what was expected: it goes to a person. */
export interface AudioProblem {
  readonly code:
    | 'asset_missing'
    | 'asset_refused'
    | 'asset_bad'
    | 'asset_too_large'
    | 'speech_missing'
    | 'speech_failed'
    | 'speech_busy'
    | 'bad_playback';
  readonly message: string;
}
