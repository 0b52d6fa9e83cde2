// The files embedded in the page: compressed, each once, unpacked on first use.
const TIE = 1e-9; // as when the report was made
const unpacked = new Map();

async function unpack(id) {
  if (!unpacked.has(id)) {
    const packed = atob(document.getElementById(id).textContent);
    const bytes = new Uint8Array(packed.length);
    for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    unpacked.set(id, await new Response(stream).text());
  }
  return unpacked.get(id);
}

// Every example of a comparison with the answer of every arm; arms with the same name are training seeds.
async function examplesOf(cell) {
  if (cell.examples) return cell.examples;
  const lines = (await unpack(cell.file)).split("\n").filter(Boolean);
  cell.examples = JSON.parse(`[${lines.join(",")}]`).map((row) => {
    const answers = [row.base, ...row.tuned, ...cell.arms.slice(1 + cell.seeds).map((arm) => row.others[arm.name])];
    const arms = answers.map((one, i) => ({ ...cell.arms[i], ...one, score: one.scores[cell.key] ?? null }));
    const tuned = arms.slice(1, 1 + cell.seeds);
    const mean = tuned.reduce((sum, arm) => sum + arm.score, 0) / tuned.length;
    return { id: String(row.id), prompt: row.prompt, target: row.target, turn: row.target_turn, accepted: row.accepted || [], arms, base: arms[0], mean };
  });
  return cell.examples;
}

// Every example's change from an arm to the fine-tuned model.
function judge(cell, name) {
  if (cell.rival === name) return;
  cell.rival = name;
  const at = cell.arms.findIndex((arm) => arm.name === name);
  for (const example of cell.examples) {
    example.rival = example.arms[at];
    example.gain = example.mean - example.rival.score;
    example.kind = kindOf(example.gain, example.rival.score, cell);
  }
}

// The place of an example's group among the classes of its comparison.
function kindOf(gain, before, cell) {
  if (Math.abs(gain) > TIE) return gain > 0 ? 0 : 1;
  return cell.zero_one && !before ? 3 : 2;
}
