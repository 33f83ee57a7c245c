// Reads a SEG with dcmjs: node read.cjs FOLDER_OF_NODE_MODULES FILE
// Prints, for each frame, its plane and the pixels of each segment, as JSON.
const { readFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const { resolve } = require('node:path');

const [modules, file] = process.argv.slice(2);
const dcmjs = createRequire(`${resolve(modules)}/`)('dcmjs');
dcmjs.log.setLevel?.('silent');

const bytes = readFileSync(file);
const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
const data = dcmjs.data.DicomMetaDictionary.naturalizeDataset(dcmjs.data.DicomMessage.readFile(buffer).dict);

const first = v => (Array.isArray(v) ? v[0] : v);
const shared = first(data.SharedFunctionalGroupsSequence);
const group = (frame, name) => first(frame[name] ?? shared[name]);
const frames = [].concat(data.PerFrameFunctionalGroupsSequence);
const packed = first(data.PixelData);
const pixels = data.SegmentationType === 'BINARY' ? dcmjs.data.BitArray.unpack(packed)
  : data.BitsAllocated === 16 ? new Uint16Array(packed) : new Uint8Array(packed);

const size = data.Rows * data.Columns;
const planes = frames.map((frame, index) => {
  const segments = {};
  const identified = group(frame, 'SegmentIdentificationSequence')?.ReferencedSegmentNumber;
  for (let i = 0; i < size; i += 1) {
    const value = pixels[index * size + i];
    if (value) (segments[data.SegmentationType === 'LABELMAP' ? value : identified] ??= []).push(i);
  }
  return { position: group(frame, 'PlanePositionSequence').ImagePositionPatient, segments };
});
console.log(JSON.stringify({
  columns: data.Columns, planes, count: [].concat(data.SegmentSequence).length,
  orientation: first(shared.PlaneOrientationSequence).ImageOrientationPatient,
  spacing: first(shared.PixelMeasuresSequence).PixelSpacing,
}));
