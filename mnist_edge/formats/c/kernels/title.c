/* @name@: a net that mnist-edge wrote as C. It needs neither a runtime nor memory to allocate.

   @shape@
   @macs@ multiply-adds a picture, @parameters@ parameters, @bytes@ bytes of workspace
   made from the ONNX graph with SHA-256 @sha256@

   Call this file @name@.c; its first part is its header, @name@.h.

   Build:      cc -O3 -march=native -c @name@.c       (-mcpu=native on Arm)
   Self-test:  cc -O3 -march=native -DMNIST_EDGE_SELFTEST @name@.c && ./a.out
   Use:        static float workspace[@NAME@_WORKSPACE];
               int digit = @name@_class(picture, workspace);

   @about@ */
