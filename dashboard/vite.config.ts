import { defineConfig } from "vite";

// The sidecar serves the files below this path. Nothing is inlined: the page's policy allows no inline code or data.
export default defineConfig({
  base: "/oqt-dashboard/",
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: {
    outDir: "../runtime/oneseek_runtime/sidecar/dist",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
    reportCompressedSize: false,
  },
  server: {
    proxy: {
      "/api": "http://127.0.0.1:3001",
      "/ws": { target: "http://127.0.0.1:3001", ws: true },
    },
  },
});
