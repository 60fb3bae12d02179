package quantize

import (
	"slices"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/eval"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/quantize/rounding"
)

// Report is what a quantization cost. Errors are squares relative to squares: 0.1
// is 10 dB below what they are errors of.
type Report struct {
	Model            string             `json:"cid"`    // Model CID of what was made
	Source           string             `json:"source"` // Model CID of what it was made of
	Method           Method             `json:"method"`
	Seed             uint64             `json:"seed"`
	Damping          float64            `json:"damping"`
	Sweeps           int                `json:"sweeps"`
	RepairRank       int                `json:"repair_rank"`
	SoulWeights      modelfile.SoulForm `json:"soul_weights,omitempty"` // absent without a Soul
	CalibrationBytes int                `json:"calibration_bytes"`
	ResumedBlocks    int                `json:"resumed_blocks"`    // finished by an earlier run
	BitsPerWeight    float64            `json:"bits_per_weight"`   // all tiles as files, over the weights of their matrices
	SoulBits         float64            `json:"soul_bits"`         // the Soul's slices as files, over the same
	TileBytes        int64              `json:"tile_bytes"`        // of all tiles, shared ones once a block
	Matrices         []MatrixReport     `json:"matrices"`          // in model order; a shared tile's under its first block only
	Quality          *Quality           `json:"quality,omitempty"` // absent without a held-out text
}

// MatrixReport is the errors of one matrix.
type MatrixReport struct {
	Layer         int      `json:"layer"`
	Matrix        string   `json:"matrix"` // "w_in" or "w_out"
	Rows          int      `json:"rows"`
	Cols          int      `json:"cols"`
	ExactRows     int      `json:"exact_rows"`   // that were representable as they came
	WeightError   float64  `json:"weight_error"` // of the method that was chosen
	OutputError   float64  `json:"output_error"` // of the products, under the Hessian, against those that follow the drift
	NearestWeight float64  `json:"rtn_weight_error"`
	NearestOutput float64  `json:"rtn_output_error"`
	RepairedError *float64 `json:"repaired_output_error,omitempty"` // with the repair in the Soul; absent without
	Damping       float64  `json:"damping"`                         // that the Hessian needed
}

func (m *MatrixReport) set(nearest, chosen rounding.Errors, codes *rounding.Codes) {
	m.WeightError, m.OutputError = chosen.WeightError(), chosen.OutputError()
	m.NearestWeight, m.NearestOutput = nearest.WeightError(), nearest.OutputError()
	m.ExactRows = codes.Exact
}

// minimal keeps quotients finite.
const minimal = 1e-300

// Quality is how models predict a held-out text.
type Quality struct {
	Bytes    int       `json:"bytes"` // predicted
	Variants []Variant `json:"variants"`
	// KLRatio is the outcome's KL over that of rounding to nearest.
	KLRatio float64 `json:"kl_ratio"`
}

// Variant is one model of Quality.
type Variant struct {
	Name        string  `json:"name"` // "f32", "int8", "rtn", "ldlq"
	BitsPerByte float64 `json:"bits_per_byte"`
	StandardErr float64 `json:"standard_error"` // of bits_per_byte
	OverF32     float64 `json:"over_f32"`       // bits_per_byte over f32's, less 1
	KL          float64 `json:"kl_bits"`        // KL(f32 ‖ this), bits a byte
	Agreeing    float64 `json:"agreeing"`       // share of bytes with the same likeliest byte as f32
}

// variantNames is the names of the held-out courses; the last is the outcome.
func (j *job) variantNames() []string {
	outcome := string(j.Method)
	if j.RepairRank > 0 {
		outcome += "+repair"
	}
	return []string{"f32", "int8", string(RTN), outcome}[:len(j.heldOut)]
}

// measureQuality scores the rows that came out of the last layer.
func (j *job) measureQuality() (*Quality, error) {
	names := j.variantNames()
	q := &Quality{Variants: make([]Variant, len(names))}
	scores, apart := make([]eval.Score, len(names)), make([]eval.Score, len(names))
	agreeing := make([]int, len(names))
	sequence := j.heldOut[0].sequence
	for at := 0; at+1 < len(j.HeldOut); at += sequence {
		text := j.HeldOut[at:min(at+sequence, len(j.HeldOut))]
		var reference [][tcn.VocabSize]float32
		for v, course := range j.heldOut {
			if err := j.ctx.Err(); err != nil {
				return nil, err
			}
			logs, err := j.predictions(course, at, len(text)-1)
			if err != nil {
				return nil, err
			}
			if v == 0 {
				reference = logs
			}
			divergences := j.divergences(reference, logs)
			loss, divergence := eval.Loss{Bytes: len(logs)}, eval.Loss{Bytes: len(logs)}
			for i := range logs {
				loss.Nats -= float64(logs[i][text[i+1]])
				divergence.Nats += divergences[i]
				if likeliest(&logs[i]) == likeliest(&reference[i]) {
					agreeing[v]++
				}
			}
			scores[v], apart[v] = append(scores[v], loss), append(apart[v], divergence)
		}
	}
	q.Bytes = scores[0].Bytes()
	for v := range names {
		q.Variants[v] = Variant{
			Name: names[v], BitsPerByte: scores[v].BitsPerByte(), StandardErr: scores[v].StandardError(),
			OverF32: scores[v].BitsPerByte()/scores[0].BitsPerByte() - 1,
			KL:      apart[v].BitsPerByte(), Agreeing: float64(agreeing[v]) / float64(q.Bytes),
		}
	}
	q.KLRatio = q.Variants[len(names)-1].KL / max(q.Variants[2].KL, minimal)
	return q, nil
}

// predictions is the logarithms of the probabilities that follow n rows of a
// course from at on.
func (j *job) predictions(c *course, at, n int) ([][tcn.VocabSize]float32, error) {
	d := j.config.DModel
	rows := make([]float32, n*d)
	if err := c.rows.read(at, rows); err != nil {
		return nil, err
	}
	logs, errs := make([][tcn.VocabSize]float32, n), make([]error, n)
	j.Compute.Pool.Run(n, func(i int) {
		var logits [tcn.VocabSize]float32
		errs[i] = j.source.ends.Logits(rows[i*d:(i+1)*d], &logits)
		logs[i] = tcn.LogProbs(&logits)
	})
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return nil, errs[i]
	}
	return logs, nil
}

// divergences is KL(p ‖ q) of each position, in nats.
func (j *job) divergences(p, q [][tcn.VocabSize]float32) []float64 {
	all := make([]float64, len(p))
	j.Compute.Pool.Run(len(p), func(i int) { all[i] = eval.Divergence(&p[i], &q[i]) })
	return all
}

// likeliest is the byte of the largest number, ties to the lower byte.
func likeliest(logs *[tcn.VocabSize]float32) int {
	best := 0
	for b, l := range logs {
		if l > logs[best] {
			best = b
		}
	}
	return best
}
