package node

// KeepNew is the tie-break rule.
var KeepNew = keepNew

const ContestWindow = contestWindow
