// Which way the packets of a connection take, read from its statistics (RTCStatsReport). Pure.

/** What a candidate type means, for people. RFC 8445 §5.1.1 has the definitions. */
const MEANINGS = {
  host: 'its own address',
  srflx: 'its address as STUN sees it',
  prflx: 'an address learnt on the way',
  relay: 'the relay’s address',
};

/** The candidate pair in use, or null before there is one. */
export function selectedPair(report) {
  const all = [...report.values()];
  const transport = all.find((entry) => entry.type === 'transport' && entry.selectedCandidatePairId);
  if (transport) return report.get(transport.selectedCandidatePairId) ?? null;
  // Browsers without transport statistics mark the pair itself.
  const pairs = all.filter((entry) => entry.type === 'candidate-pair');
  return pairs.find((pair) => pair.selected) ?? pairs.find((pair) => pair.nominated && pair.state === 'succeeded') ?? null;
}

/**
 * { relayed, over, words, local, remote } of the selected pair, or null. `theirRelay` is how the other end says that it
 * reaches its relay: only that end can know.
 */
export function describePath(report, theirRelay) {
  const pair = selectedPair(report);
  const local = pair && report.get(pair.localCandidateId);
  const remote = pair && report.get(pair.remoteCandidateId);
  if (!local || !remote) return null;
  const over = relayTransport(local) ?? (remote.candidateType === 'relay' ? theirRelay ?? null : null);
  const relayed = local.candidateType === 'relay' || remote.candidateType === 'relay';
  return {
    relayed,
    over,
    words: relayed ? relayWords(over) : 'direct',
    local: describeEnd(local, relayTransport(local)),
    remote: describeEnd(remote, remote.candidateType === 'relay' ? theirRelay : null),
  };
}

function relayTransport(candidate) {
  return candidate.candidateType === 'relay' ? candidate.relayProtocol ?? null : null;
}

function relayWords(over) {
  return over ? `relayed over ${over.toUpperCase()}` : 'relayed';
}

function describeEnd(candidate, relay) {
  return {
    type: candidate.candidateType,
    protocol: (relay ?? candidate.protocol ?? '').toUpperCase(),
    meaning: MEANINGS[candidate.candidateType] ?? 'an address of a kind unknown to this page',
  };
}
