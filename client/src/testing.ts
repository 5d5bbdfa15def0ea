/** For tests of what is built on this package. The gateway is the package `mooring`, installed beside this one. */
export {
  ModelError,
  ScriptedModel,
  startGateway,
  type Answering,
  type ModelCall,
  type ModelPart,
  type ModelRequest,
  type TestGateway,
  type TestGatewayOptions,
} from 'mooring/testing';
export { awaitTurn, type EndedTurn } from './await.turn.js';
