// How long a command waits for what must come, in milliseconds: limit_test.go has the same. It is for busy machines; nothing comes near
// it when it works.
export const patience = 60000
