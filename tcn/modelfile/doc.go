// Package modelfile reads and writes everything about a model that is kept in
// files: the three manifests, the tensor files they name by CID, and the folder
// that holds both. Package importer makes such folders from the files that models
// are published in; Init makes one of random weights.
//
// # Files
//
// A model folder:
//
//	model.json      the Model manifest      model.cid    its CID, in two notations
//	genome.json     the Genome manifest     soul.json    the default Soul, if any
//	tiles/CID.safetensors   frozen weights of one Fractal Block
//	small/CID.safetensors   small parameters of one Fractal Block
//	soul/CID.safetensors    low-rank slice of one Fractal Block
//	ends/CID.safetensors    emb, pos_emb, norm_f
//
// A folder may hold shape.json alone, a Shape: the sizes of a model that nobody
// has weights of, to plan for.
//
// Tensors are named by layer within the block, with L from 0, and files carry no
// other metadata, so equal blocks are one file:
//
//	tile   L.w_in [2·d_ff, d_model]   L.w_dw [kernel_size, width]   L.w_out [d_model, d_ff]
//	       with 2-bit weights L.w_in and L.w_out are each three tensors; see package quant:
//	       L.w_in.codes U8 [⌈rows/16⌉, ⌈cols/16⌉, 64]   L.w_in.scale [rows]   L.w_in.signs U8 [⌈cols/8⌉]
//	small  routing [1]   L.norm.w [d_model]   L.scale [1]
//	soul   L.lora_in.A [rank, d_model]   L.lora_in.B [2·d_ff, rank]
//	       L.lora_out.A [rank, d_ff]     L.lora_out.B [d_model, rank]
//	       with 8-bit rows each is two tensors, used where they lie; see package quant:
//	       L.lora_in.A.codes U8 [⌈rows/16⌉, ⌈cols/16⌉, 256]   L.lora_in.A.scale [rows]
//	ends   emb.weight [256, d_model]   pos_emb.weight [max_positions, d_model]   norm_f.w [d_model]
//
// The matrices of one slice are all of one form, which its names tell: the Soul
// manifest is the same for both. 8-bit rows take about a quarter of the bytes from
// rank 16 on; below it they are filled up to 16, and from rank 4 down they are
// larger than float32 numbers.
//
// w_dw is tap-major: row kernel_size-1 multiplies the present input, row 0 the
// oldest. (Release and paper files hold [width, kernel_size]; importing turns
// them.) width is d_ff in the release cell, d_model in the paper cell.
//
// # Laws
//
//  1. A manifest has one encoding. Decoding refuses any other bytes, so a CID
//     and a value determine each other.
//  2. Writing is deterministic: the same tensors give the same file and CID.
//  3. A folder appears whole or not at all.
//  4. Nothing read is executed, and every size is checked against the bytes
//     that are there before memory is taken for it.
//  5. Weights are finite.
//
// # Limits
//
// See limits.go; each is an error that wraps ErrTooLarge.
package modelfile
