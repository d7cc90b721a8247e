// From the server's `iceServers` and the user's wishes to an RTCConfiguration. Pure.

/**
 * `relay`: null (any path), 'any' (relay only), or 'udp', 'tcp', 'tls' (relay only, reached that way).
 * A relay that is wished for but not on offer leaves an empty list: the call then fails visibly and does not quietly
 * take the direct path.
 */
export function iceConfig(iceServers, relay) {
  const servers = relay && relay !== 'any' ? onlyReachedBy(iceServers, relay) : iceServers;
  return {
    iceServers: servers,
    iceTransportPolicy: relay ? 'relay' : 'all',
    bundlePolicy: 'max-bundle',
  };
}

export function relayWish(text) {
  if (text === null || text === '0' || text === 'off') return null;
  return ['udp', 'tcp', 'tls'].includes(text) ? text : 'any';
}

function onlyReachedBy(iceServers, relay) {
  return iceServers
    .map((server) => ({ ...server, urls: [server.urls].flat().filter((url) => transportOf(url) === relay) }))
    .filter((server) => server.urls.length > 0);
}

/** RFC 7065 §3.1: `turn:` is UDP unless `?transport=tcp` follows; `turns:` is TLS, or DTLS with `?transport=udp`. */
function transportOf(url) {
  const [, scheme, transport] = /^(turns?):[^?]*(?:\?transport=(\w+))?$/i.exec(url) ?? [];
  if (!scheme) return null;
  if (scheme.toLowerCase() === 'turns') return 'tls';
  return transport?.toLowerCase() === 'tcp' ? 'tcp' : 'udp';
}
