// Package rack makes several devices one [tcn.Backend]: a range of Fractal Blocks
// is cut into parts, one per device, and rows pass through them in order.
//
// # Laws
//
//  1. A rack computes the bits of one device, whatever it is made of and however
//     a range is cut: splits and chunks do not matter (laws 1 and 3 of package
//     tcn), and a rack does nothing but split and chunk.
//  2. The parts are in proportion to the devices' memory for weights: no other
//     cut of the same blocks would fill the fullest device less.
//  3. Rows of one Step flow. Once there are [groupRows] of them for each of two
//     groups, a device begins the next group while the one after it is at this.
//     Fewer rows pay no more than function calls.
//  4. When a device fails, Step and NewState return its error, with its name, from
//     then on. The others can be closed like it.
//  5. Load copies to all devices at once.
//  6. Nothing runs between the calls: goroutines end before Load or Step returns.
//
// # Limits
//
// A rack has at most [MaxDevices] devices. A Step ends before the next begins, so
// what a rack adds up is memory: a single row visits one device after the other.
package rack
