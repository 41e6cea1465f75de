export { formatPatch, OMIT_HEADERS, structuredPatch } from 'diff';
