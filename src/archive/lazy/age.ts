// Loaded at first use: elliptic curves and post-quantum keys in plain JavaScript.
export { Decrypter, Encrypter } from 'age-encryption';
