// What stands before a client in the tests: the address, the access key, and shorter pauses between polls.
const { FLAGSITE_URL, FLAGSITE_KEY } = process.env;
const [originalFetch, originalSetTimeout] = [fetch, setTimeout];
globalThis.fetch = (path, options = {}) =>
  originalFetch(FLAGSITE_URL + path, {
    ...options,
    headers: { ...options.headers, Authorization: `Bearer ${FLAGSITE_KEY}` },
  });
globalThis.setTimeout = (work, milliseconds, ...more) =>
  originalSetTimeout(work, milliseconds === 2000 ? 100 : milliseconds, ...more);
