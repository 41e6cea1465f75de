/** GitHub shows ten of a kind for each step: https://docs.github.com/en/rest/checks/runs (annotations) */
export const MOST_ANNOTATIONS = 10;

/** One annotation: a message under a heading. */
export interface Annotation {
  readonly message: string;
  readonly title?: string | undefined;
}

/** Annotations of one kind, no more than GitHub shows: those beyond are folded into the last one. */
export interface Annotations {
  /** Shows it at once while there is room. Returns false when it is held back for the last one. */
  add(annotation: Annotation): boolean;
  /** Shows what was held back; for the end. */
  flush(): void;
}

/**
 * @param show - makes one annotation
 * @param most - how many may be shown in all
 */
export function createAnnotations(show: (annotation: Annotation) => void, most = MOST_ANNOTATIONS): Annotations {
  let shown = 0;
  const held: Annotation[] = [];
  return {
    add(annotation) {
      if (shown < most - 1) {
        shown++;
        show(annotation);
        return true;
      }
      held.push(annotation);
      return false;
    },
    flush() {
      const last = held.splice(0);
      const [only, ...others] = last;
      if (only === undefined) return;
      if (others.length === 0) return show(only);
      const lines = last.map(({ title, message }) => `- ${title === undefined ? '' : `${title}: `}${message}`);
      show({ title: `${last.length} more`, message: lines.join('\n') });
    },
  };
}
