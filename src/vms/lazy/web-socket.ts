// Loaded at first use, through a port-forward. Of all clients at hand only this one can be told to stop reading, which
// keeps memory flat when a disk comes faster than it is stored.
export { WebSocket } from 'ws';
