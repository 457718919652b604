/** What leaves: passes every path that carries IPv6, with room for a tunnel or two. */
export const LONGEST_DATAGRAM = 1200;
/** Type, version, epoch, sequence number, length (RFC 6347 §4.1). */
const RECORD_HEADER_LENGTH = 13;

/**
 * Cuts what OpenSSL wrote into datagrams: whole records, as many as fit into `limit` octets; one that alone is longer goes alone. The
 * parts share `bytes`' memory. What is no record (OpenSSL writes none) ends it.
 */
export function cutDatagrams(bytes: Uint8Array, limit: number): Uint8Array[] {
  const datagrams: Uint8Array[] = [];
  let start = 0;
  let end = 0;
  while (end + RECORD_HEADER_LENGTH <= bytes.length) {
    const recordEnd = end + RECORD_HEADER_LENGTH + ((bytes[end + 11]! << 8) | bytes[end + 12]!);
    if (recordEnd > bytes.length) break;
    if (recordEnd - start > limit && end > start) {
      datagrams.push(bytes.subarray(start, end));
      start = end;
    }
    end = recordEnd;
  }
  if (end > start) datagrams.push(bytes.subarray(start, end));
  return datagrams;
}
