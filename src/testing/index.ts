export { ModelError, type ModelPart, type ModelRequest } from '../agents/model.provider.js';
export { ScriptedModel, type Answering, type ModelCall } from './scripted.model.js';
export { startGateway, type TestGateway, type TestGatewayOptions } from './test.gateway.js';
