// Loaded at first use: only archives of machines have YAML.
export { Document, isScalar, parseDocument, Scalar, visit } from 'yaml';
