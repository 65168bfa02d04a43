// libp2p 3 calls Promise.withResolvers, which came with Node 22. Imported before anything of libp2p.
Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new this((a, b) => { resolve = a; reject = b })
  return { promise, resolve, reject }
}
