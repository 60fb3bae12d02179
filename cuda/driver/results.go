package driver

import (
	"fmt"

	"github.com/zetagrid/zetagrid/cuda/device"
)

// Results of the driver that are looked at by number.
const (
	success  = 0
	notReady = 600
)

// result is what a number of the driver means here.
type result struct {
	name string // the driver's, less CUDA_ERROR_
	kind error
}

// results are the failures that CUDA 12.9 knows. What the device can go on after is
// ErrOutOfMemory or ErrUnsupported; what no row explains, here or in a later CUDA,
// is ErrLost.
var results = map[int]result{
	1:   {"InvalidValue", device.ErrUnsupported},
	2:   {"OutOfMemory", device.ErrOutOfMemory},
	3:   {"NotInitialized", device.ErrNoDriver},
	4:   {"Deinitialized", device.ErrLost},
	5:   {"ProfilerDisabled", device.ErrLost},
	6:   {"ProfilerNotInitialized", device.ErrLost},
	7:   {"ProfilerAlreadyStarted", device.ErrLost},
	8:   {"ProfilerAlreadyStopped", device.ErrLost},
	34:  {"StubLibrary", device.ErrNoDriver},
	46:  {"DeviceUnavailable", device.ErrLost},
	100: {"NoDevice", device.ErrNoDevice},
	101: {"InvalidDevice", device.ErrNoDevice},
	102: {"DeviceNotLicensed", device.ErrNoDevice},
	200: {"InvalidImage", device.ErrUnsupported},
	201: {"InvalidContext", device.ErrLost},
	202: {"ContextAlreadyCurrent", device.ErrLost},
	205: {"MapFailed", device.ErrLost},
	206: {"UnmapFailed", device.ErrLost},
	207: {"ArrayIsMapped", device.ErrLost},
	208: {"AlreadyMapped", device.ErrLost},
	209: {"NoBinaryForGpu", device.ErrUnsupported},
	210: {"AlreadyAcquired", device.ErrLost},
	211: {"NotMapped", device.ErrLost},
	212: {"NotMappedAsArray", device.ErrLost},
	213: {"NotMappedAsPointer", device.ErrLost},
	214: {"EccUncorrectable", device.ErrLost},
	215: {"UnsupportedLimit", device.ErrUnsupported},
	216: {"ContextAlreadyInUse", device.ErrLost},
	217: {"PeerAccessUnsupported", device.ErrUnsupported},
	218: {"InvalidPtx", device.ErrUnsupported},
	219: {"InvalidGraphicsContext", device.ErrLost},
	220: {"NvlinkUncorrectable", device.ErrLost},
	221: {"JitCompilerNotFound", device.ErrUnsupported},
	222: {"UnsupportedPtxVersion", device.ErrUnsupported},
	223: {"JitCompilationDisabled", device.ErrUnsupported},
	224: {"UnsupportedExecAffinity", device.ErrUnsupported},
	225: {"UnsupportedDevsideSync", device.ErrUnsupported},
	226: {"Contained", device.ErrLost},
	300: {"InvalidSource", device.ErrUnsupported},
	301: {"FileNotFound", device.ErrUnsupported},
	302: {"SharedObjectSymbolNotFound", device.ErrUnsupported},
	303: {"SharedObjectInitFailed", device.ErrNoDriver},
	304: {"OperatingSystem", device.ErrNoDriver},
	400: {"InvalidHandle", device.ErrLost},
	401: {"IllegalState", device.ErrLost},
	402: {"LossyQuery", device.ErrLost},
	500: {"NotFound", device.ErrUnsupported},
	600: {"NotReady", device.ErrUnsupported},
	700: {"IllegalAddress", device.ErrIllegalAccess},
	701: {"LaunchOutOfResources", device.ErrUnsupported},
	702: {"LaunchTimeout", device.ErrHung},
	703: {"LaunchIncompatibleTexturing", device.ErrUnsupported},
	704: {"PeerAccessAlreadyEnabled", device.ErrLost},
	705: {"PeerAccessNotEnabled", device.ErrLost},
	708: {"PrimaryContextActive", device.ErrLost},
	709: {"ContextIsDestroyed", device.ErrLost},
	710: {"Assert", device.ErrIllegalAccess},
	711: {"TooManyPeers", device.ErrLost},
	712: {"HostMemoryAlreadyRegistered", device.ErrLost},
	713: {"HostMemoryNotRegistered", device.ErrLost},
	714: {"HardwareStackError", device.ErrIllegalAccess},
	715: {"IllegalInstruction", device.ErrIllegalAccess},
	716: {"MisalignedAddress", device.ErrIllegalAccess},
	717: {"InvalidAddressSpace", device.ErrIllegalAccess},
	718: {"InvalidPc", device.ErrIllegalAccess},
	719: {"LaunchFailed", device.ErrLost},
	720: {"CooperativeLaunchTooLarge", device.ErrUnsupported},
	721: {"TensorMemoryLeak", device.ErrLost},
	800: {"NotPermitted", device.ErrUnsupported},
	801: {"NotSupported", device.ErrUnsupported},
	802: {"SystemNotReady", device.ErrNoDriver},
	803: {"SystemDriverMismatch", device.ErrNoDriver},
	804: {"CompatNotSupportedOnDevice", device.ErrNoDriver},
	805: {"MpsConnectionFailed", device.ErrNoDriver},
	806: {"MpsRpcFailure", device.ErrNoDriver},
	807: {"MpsServerNotReady", device.ErrNoDriver},
	808: {"MpsMaxClientsReached", device.ErrNoDriver},
	809: {"MpsMaxConnectionsReached", device.ErrNoDriver},
	810: {"MpsClientTerminated", device.ErrLost},
	811: {"CdpNotSupported", device.ErrUnsupported},
	812: {"CdpVersionMismatch", device.ErrUnsupported},
	900: {"StreamCaptureUnsupported", device.ErrUnsupported},
	901: {"StreamCaptureInvalidated", device.ErrUnsupported},
	902: {"StreamCaptureMerge", device.ErrUnsupported},
	903: {"StreamCaptureUnmatched", device.ErrUnsupported},
	904: {"StreamCaptureUnjoined", device.ErrUnsupported},
	905: {"StreamCaptureIsolation", device.ErrUnsupported},
	906: {"StreamCaptureImplicit", device.ErrUnsupported},
	907: {"CapturedEvent", device.ErrUnsupported},
	908: {"StreamCaptureWrongThread", device.ErrUnsupported},
	909: {"Timeout", device.ErrHung},
	910: {"GraphExecUpdateFailure", device.ErrUnsupported},
	911: {"ExternalDevice", device.ErrLost},
	912: {"InvalidClusterSize", device.ErrUnsupported},
	913: {"FunctionNotLoaded", device.ErrLost},
	914: {"InvalidResourceType", device.ErrUnsupported},
	915: {"InvalidResourceConfiguration", device.ErrUnsupported},
	916: {"KeyRotation", device.ErrLost},
	999: {"Unknown", device.ErrLost},
}

// failure is the error for a result that is not success.
func failure(code int, doing string) *device.Error {
	r, ok := results[code]
	if !ok {
		r = result{fmt.Sprintf("Result%d", code), device.ErrLost}
	}
	return &device.Error{Kind: r.kind, Code: code, Name: r.name, Doing: doing}
}
