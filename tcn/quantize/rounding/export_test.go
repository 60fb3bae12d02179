package rounding

// FirstScale is the scale that Compensated begins a row with.
func FirstScale(h *Hessian, u []float32) float32 {
	var order scaleOrder
	return order.best(u, h.diag)
}
