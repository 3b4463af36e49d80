export {
  archiveDigest,
  archiveUpstream,
  type ArchivedRange,
  coveredUntil,
  isReceiptName,
  rangeOf,
  readReceipt,
  receiptBytesMax,
  receiptName,
  receiptsDirectory,
} from './archived-range.ts'
export {
  type Checkpoint,
  formatCheckpoint,
  isCosigned,
  isSignedByLog,
  openCheckpoint,
  type OpenedCheckpoint,
  parseCheckpoint,
  signCheckpoint,
} from './checkpoint.ts'
export {
  currentKey,
  followRotations,
  formatRotations,
  isSignedByKey,
  type KeyRotation,
  keysUpTo,
  type LogKey,
  parseRotation,
  parseRotations,
  rotationsBytesMax,
  signRotation,
} from './key-rotation.ts'
export { firstHere, leafHashesBefore, type LogSource } from './log-source.ts'
export { decodeEntry, encodeEntry } from './entry.ts'
export { explainFinding, explainInformation, type Finding, type Information } from './finding.ts'
export {
  decodeBase64,
  emptyRoot,
  encodeBase64,
  entryBytesMax,
  type Hash,
  hashBytes,
  leafHash,
  LogFormatError,
  nodeHash,
} from './hash.ts'
export {
  addSignatures,
  cosignNote,
  formatSignatureLine,
  type Note,
  type NoteVerdict,
  parseNote,
  parseSignatureLines,
  signNote,
  verifyNote,
} from './note.ts'
export {
  formatVerifierKey,
  isKeyName,
  type NoteSigner,
  noteSigner,
  parseVerifierKey,
  parseVerifierKeys,
  type SignatureType,
  signatureTypes,
  type VerifierKey,
  verifierKey,
} from './note-key.ts'
export { consistencyProof, inclusionProof, type NodeReader, rootAt, verifyConsistency, verifyInclusion } from './proof.ts'
export {
  decodeGroup,
  decodeGroupHeader,
  decodeSegment,
  encodeGroup,
  encodeSegmentHeader,
  groupBytesMax,
  groupHeaderBytes,
  type Group,
  parseSegmentName,
  type Segment,
  segmentBytesMax,
  segmentHeaderBytes,
  segmentName,
} from './segment.ts'
export {
  decodeEntryBundle,
  decodeTile,
  edgeTiles,
  encodeEntryBundle,
  encodeTile,
  parseTilePath,
  type TileName,
  tileNodes,
  tilePath,
  type TileReader,
} from './tile.ts'
export { type Tile, tileWidth, TileTree, treeRoot } from './tree.ts'
export { type LogReport, verifyLog, type VerifyOptions } from './verify.ts'
export { type Witness, WitnessRefusal, type WitnessRequest } from './witness.ts'
