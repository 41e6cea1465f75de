// Loaded at first use: few files of transforms have a JSON patch.
export { applyPatch, type Operation } from 'rfc6902';
