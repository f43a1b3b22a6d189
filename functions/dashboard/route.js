// Which view is shown: what stands behind the # of the address.

/** Go to a view. */
export function go(path) {
  location.hash = path;
}

/** Return the parts of the address, and its query. */
export function here() {
  const [path, query] = location.hash.replace(/^#/, "").split("?");
  return { parts: path.split("/").filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(query || "") };
}
