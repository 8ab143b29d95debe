import preact from "@preact/preset-vite";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [preact()],
  build: {
    outDir: "../services/talka_services/gateway/page",
    emptyOutDir: true,
    // The content security policy knows no data: scripts, and files are cached for good by their hashes.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  test: { include: ["test/**/*.test.ts"] },
});
