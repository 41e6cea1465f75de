export const ADDON_FILE: string;
export function addonFolder(platform?: string, arch?: string): string;
export function useShippedAddon(folder: string): void;
